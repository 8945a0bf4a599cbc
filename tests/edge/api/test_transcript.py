from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.api.transcript import Presentation, json_body, srt, text_body, vtt, without_punctuation
from edge.workers.messages import Segment, Transcribed

END = Transcribed("fr", 3725.5)


def segment(text: str, start: float, words: list[list[object]] | None = None) -> Segment:
    return Segment(0, 0, start, start + 1.0, text, [7], 0.0, -0.1, 1.0, 0.01, words)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (" Well, yes!", " Well yes"),
        ("It's 3.5 o'clock (or 10:30).", "It's 3.5 o'clock or 10:30"),
        (" a well-known - place", " a well-known place"),
        ("\u201cQuoted\u201d \u2014 \u00bfqu\u00e9? \u4f60\u597d\u3002", "Quoted qué 你好"),
        ("50% & more", "50% & more"),
        ("...", ""),
        ("", ""),
    ],
)
def test_punctuation_goes_but_not_from_within_words(text: str, plain: str) -> None:
    assert without_punctuation(text) == plain


@given(st.text())
def test_no_letter_is_lost_with_the_punctuation(text: str) -> None:
    def letters(some: str) -> list[str]:
        return [letter for letter in some if letter.isalnum()]

    assert letters(without_punctuation(text)) == letters(text)


def test_subtitles_of_more_than_an_hour() -> None:
    segments = [segment(" one --> two", 3599.9995), segment(" three", 3725.0)]
    assert srt(segments).splitlines()[1] == "01:00:00,000 --> 01:00:01,000"
    assert vtt(segments).splitlines()[2:4] == ["01:00:00.000 --> 01:00:01.000", "one -> two"]


def test_no_segment_is_an_empty_transcript_in_every_format() -> None:
    assert text_body([], Presentation("text")) == ""
    assert text_body([], Presentation("srt")) == ""
    assert text_body([], Presentation("vtt")) == "WEBVTT\n\n"
    verbose = json_body([], END, Presentation("verbose_json", words=True))
    assert (verbose["text"], verbose["segments"], verbose["words"]) == ("", [], [])


def test_subtitles_in_json_are_in_its_text() -> None:
    body = json_body([segment(" bonjour", 0.0)], END, Presentation("vtt"))
    assert body["text"] == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nbonjour\n\n"


def test_a_translation_is_english_whatever_was_said() -> None:
    body = json_body([], END, Presentation("verbose_json", translated=True))
    assert (body["task"], body["language"]) == ("translate", "english")


def test_an_improbable_word_has_a_logprob_all_the_same() -> None:
    body = json_body([segment(" x", 0.0, [[" x", 0.0, 1.0, 0.0]])], END, Presentation(logprobs=True))
    assert -30 < body["logprobs"][0]["logprob"] < -10


def test_a_presentation_can_be_stored() -> None:
    how = Presentation("srt", words=True, punctuation=False)
    assert Presentation.restore(asdict(how)) == how
