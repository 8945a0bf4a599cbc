import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.base import InvalidRequest
from edge.engines.tts.phonemes import MAX_RUN, Phonemizer, plain, readable

ANYTHING = st.text(max_size=120) | st.text("abAB019.,-/'$%()[]@_é½①²…\n ", max_size=120)


@given(ANYTHING)
def test_no_run_stays_too_long_for_the_rules(text: str) -> None:
    assert max(map(len, readable(text * 5).split()), default=0) <= MAX_RUN


def test_ordinary_text_is_read_as_it_is() -> None:
    text = "Dr. Smith paid $3.50 (or so) for it; he's from Saint-Denis... isn't he?!"
    assert readable(text) == text


def test_a_long_run_is_broken_after_a_symbol() -> None:
    address = "https://www.example.com/some/quite/long/path/to/something.html"
    assert readable(address) == "https://www.example.com/some/quite/long/ path/to/something.html"


def test_links_keep_their_text_and_repeated_symbols_are_thinned() -> None:
    assert readable("see [the page](https://x.org/a) -----") == "see the page ---"
    assert readable("no [phonemes](/kat/) from outside") == "no phonemes from outside"


def test_plain_text_has_neither_accents_nor_foreign_digits() -> None:
    assert plain("café ② 12 ٣") == "cafe 2 1 2 3"


def test_a_voice_reads_with_its_own_accent(american: Phonemizer, british: Phonemizer) -> None:
    assert american("the car park") != british("the car park")


@pytest.mark.parametrize(
    "text",
    ["Hello.", "5", "$4.50", "½", "①", "❽", "1" * 60, "İstanbul", "x", "Zoë", "AT&T", "e.g.", "R2-D2", "+"],
)
def test_words_numbers_and_names_have_a_sound(american: Phonemizer, text: str) -> None:
    assert american(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "...", "?!", "🙂👍🏽", "你好", "こんにちは", "مرحبا", "\u200b\u200d", "()", "—", '"', "***"],
)
def test_what_has_no_sound_gives_no_tokens(american: Phonemizer, text: str) -> None:
    assert american(text) == []


@settings(max_examples=200, deadline=None)
@given(text=ANYTHING)
def test_any_text_is_read_or_refused(american: Phonemizer, text: str) -> None:
    try:
        tokens = american(text)
    except InvalidRequest:
        return
    assert all(0 < token < 178 for token in tokens)


@pytest.mark.parametrize(
    "pattern", ["a-", "Aa", "a@", "Z1", "[a](/", "$1.", '"', "[", "1/1", "'", "a1/", "9", "(", "é"]
)
def test_no_text_takes_long_to_read(american: Phonemizer, pattern: str) -> None:
    started = time.perf_counter()
    american((pattern * 512)[:512])
    assert time.perf_counter() - started < 2
