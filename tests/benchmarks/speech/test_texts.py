import pytest

from benchmarks.speech.texts import SIXTY_WORDS, Errors, compare, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("Press 1, or dial 12.", "press one or dial twelve"),
        ("Your party\N{RIGHT SINGLE QUOTATION MARK}s call-waiting", "your party's call waiting"),
        ("Okay, Mister Dashwood: log in", "ok mr dashwood login"),
        ("  ", ""),
    ],
)
def test_what_is_written_in_two_ways_is_one(text: str, expected: str) -> None:
    assert words(text) == expected


def test_every_kind_of_wrong_word_counts() -> None:
    assert compare(["one two three four"], ["one too three four five"]) == Errors(2, 4)
    assert compare(["one two three four"], ["one"]) == Errors(3, 4)
    assert compare(["Press 1.", "Good bye"], ["press one", ""]).rate == 0.5


def test_words_are_not_compared_across_texts() -> None:
    assert compare(["a b", "c d"], ["a b c", "d"]) == Errors(2, 4)


def test_the_long_text_is_as_long_as_it_is_said_to_be() -> None:
    assert len(words(SIXTY_WORDS).split()) == 60
