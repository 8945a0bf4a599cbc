import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearedge.sentences import MAX_CHARACTERS, SentenceCutter


def cut(*pieces: str) -> list[str]:
    cutter = SentenceCutter()
    return [sentence for piece in pieces for sentence in cutter.feed(piece)] + list(cutter.close())


def test_a_sentence_is_given_back_as_soon_as_it_is_whole() -> None:
    cutter = SentenceCutter()
    assert list(cutter.feed("The capital of Canada is Ottawa")) == []
    assert list(cutter.feed(".")) == []  # 3.14 may go on
    assert list(cutter.feed(" It")) == ["The capital of Canada is Ottawa."]
    assert list(cutter.close()) == ["It"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes. It is a very old town by the sea.", ["Yes. It is a very old town by the sea."]),
        (
            "That was Dr. Smith, who came by train. He left.",
            ["That was Dr. Smith, who came by train.", "He left."],
        ),
        (
            "It costs about 3.50 dollars in the shop! Really?",
            ["It costs about 3.50 dollars in the shop!", "Really?"],
        ),
        (
            "First we have to take these steps:\n1. Look.\n2. Go.",
            ["First we have to take these steps:", "1. Look.\n2. Go."],
        ),
        (
            'She said "I am coming home today." Then she left us.',
            ['She said "I am coming home today."', "Then she left us."],
        ),
        ("*** ", []),
        (
            "\N{GRINNING FACE} ... I am happy to be here today.",
            ["\N{GRINNING FACE} ... I am happy to be here today."],
        ),
        ("", []),
    ],
)
def test_where_a_sentence_ends(text: str, expected: list[str]) -> None:
    assert cut(text) == expected
    assert cut(*text) == expected


def test_text_without_an_end_is_cut_between_clauses_or_words() -> None:
    clauses = cut("one two three four five six, " * 40)
    assert len(clauses) > 3
    assert all(piece.endswith(",") for piece in clauses)
    assert all(len(piece) <= MAX_CHARACTERS for piece in [*clauses, *cut("word " * 200), *cut("x" * 1000)])


@given(st.lists(st.text(alphabet="ab .,!?\n\"'1(", max_size=40), max_size=30))
def test_nothing_is_lost_and_everything_can_be_said(pieces: list[str]) -> None:
    found = cut(*pieces)
    spoken, text = "".join("".join(found).split()), "".join("".join(pieces).split())
    assert text.startswith(spoken)
    assert not any(map(str.isalnum, text[len(spoken) :]))
    assert all(any(map(str.isalnum, sentence)) for sentence in found)
