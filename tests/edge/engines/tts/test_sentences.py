import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.tts.sentences import Break, Piece, fit, split_sentences

ENGLISH = st.text("abcdeABC   ,.;:!?…—\n\"'()0123456789。", max_size=300)
ANYTHING = ENGLISH | st.text(max_size=300)


def squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)


def texts(text: str) -> list[str]:
    return [piece.text for piece in split_sentences(text)]


@given(ANYTHING)
def test_no_letter_is_lost_or_moved(text: str) -> None:
    assert squeeze("".join(texts(text))) == squeeze(text)


@given(ANYTHING)
def test_a_piece_is_never_empty_nor_padded(text: str) -> None:
    for piece in texts(text):
        assert piece == piece.strip() != ""


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "On Monday it rained all day. Today it did not.",
            ["On Monday it rained all day.", "Today it did not."],
        ),
        (
            "Is it raining today? It certainly is! Then we stay inside",
            ["Is it raining today? It certainly is!", "Then we stay inside"],
        ),
        ("Dr. Smith met Mrs. Jones on St. James Street.", ["Dr. Smith met Mrs. Jones on St. James Street."]),
        ("The books of J. K. Rowling sell well.", ["The books of J. K. Rowling sell well."]),
        (
            "It costs $3.50 or 1,250.75 in total, no. 5 says.",
            ["It costs $3.50 or 1,250.75 in total, no. 5 says."],
        ),
        ("He came to the U.S. in 1999 with a friend.", ["He came to the U.S. in 1999 with a friend."]),
        (
            "Then she said clearly no. Then she left the room.",
            ["Then she said clearly no.", "Then she left the room."],
        ),
        (
            "The big grey old cat sat. Then it slept for an hour.",
            ["The big grey old cat sat.", "Then it slept for an hour."],
        ),
        ("We wait until 5 p.m. and then we go home.", ["We wait until 5 p.m. and then we go home."]),
        ("Well... maybe I will come along after all.", ["Well... maybe I will come along after all."]),
        (
            'He asked her, "Are you coming?" Then he simply left.',
            ['He asked her, "Are you coming?"', "Then he simply left."],
        ),
        ("See fig. 3 on p. 12 of the book, cf. Knuth.", ["See fig. 3 on p. 12 of the book, cf. Knuth."]),
        ("no full stop anywhere in this", ["no full stop anywhere in this"]),
        ("Shopping list\nMilk\nEggs and bread", ["Shopping list", "Milk", "Eggs and bread"]),
        ("1. Buy milk\n2. Buy eggs", ["1. Buy milk", "2. Buy eggs"]),
        (
            "This line was wrapped by a mail program at about seventy letters, so\nIt is one sentence.",
            ["This line was wrapped by a mail program at about seventy letters, so\nIt is one sentence."],
        ),
        ("a short line\nthat goes on below", ["a short line\nthat goes on below"]),
        ("", []),
        (" \n\n \t ", []),
    ],
)
def test_sentences_end_where_a_reader_would_pause(text: str, sentences: list[str]) -> None:
    assert texts(text) == sentences


def test_very_short_sentences_are_spoken_with_the_next() -> None:
    assert texts("Yes. No. I would rather stay at home today.") == [
        "Yes. No. I would rather stay at home today."
    ]


def test_paragraphs_pause_longer_than_sentences() -> None:
    ends = [piece.end for piece in split_sentences("A first paragraph of text.\n\nA second. And more of it.")]
    assert ends == [Break.PARAGRAPH, Break.SENTENCE]


@given(text=ANYTHING.filter(str.strip), limit=st.integers(1, 60))
def test_every_part_fits_and_nothing_is_lost(text: str, limit: int) -> None:
    parts = fit(Piece(text.strip(), Break.SENTENCE), len, limit)
    assert squeeze("".join(part.text for part in parts)) == squeeze(text)
    assert all(0 < len(part.text) <= limit for part in parts)
    assert parts[-1].end is Break.SENTENCE


@given(text=st.text("ab cd, ", min_size=1, max_size=200).filter(str.strip), limit=st.integers(4, 40))
def test_parts_fit_whatever_the_measure(text: str, limit: int) -> None:
    def measure(part: str) -> int:
        return sum(3 if letter == "a" else 1 for letter in part)

    assert all(
        measure(part.text) <= limit for part in fit(Piece(text.strip(), Break.SENTENCE), measure, limit)
    )


def test_a_cut_is_made_between_clauses_rather_than_words() -> None:
    text = "the first half of a long sentence, and then comes the second half of it"
    parts = fit(Piece(text, Break.SENTENCE), len, 60)
    assert parts == [
        Piece("the first half of a long sentence,", Break.CLAUSE),
        Piece("and then comes the second half of it", Break.SENTENCE),
    ]


def test_a_cut_is_made_between_words_rather_than_letters() -> None:
    parts = fit(Piece("some words without any pause between them at all", Break.SENTENCE), len, 30)
    assert [part.text for part in parts] == ["some words without any", "pause between them at all"]
    assert parts[0].end is Break.WORD


def test_long_texts_are_split_in_time() -> None:
    for text in ("a" * 100_000, " " * 100_000, "\n" * 100_000, "." * 100_000, "a. " * 30_000, 'a."' * 30_000):
        split_sentences(text)
