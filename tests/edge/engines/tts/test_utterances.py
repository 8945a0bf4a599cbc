import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.base import InvalidRequest
from edge.engines.tts.phonemes import Phonemizer
from edge.engines.tts.utterances import PIECE_TOKENS, utterances

PROSE = st.lists(st.sampled_from(["a", "word,", "number", "12", "and", "(another)", "thing;", "end.\n"]))


@settings(max_examples=30, deadline=None)
@given(words=PROSE.filter(lambda words: len(words) > 100))
def test_no_utterance_is_longer_than_the_model_takes(american: Phonemizer, words: list[str]) -> None:
    said = list(utterances(" ".join(words), american))
    assert all(0 < len(utterance.tokens) <= PIECE_TOKENS for utterance in said)


@settings(max_examples=50, deadline=None)
@given(words=PROSE)
def test_every_character_of_what_can_be_said_is_counted_once(american: Phonemizer, words: list[str]) -> None:
    text = "  ".join(words)
    assert sum(said.characters for said in utterances(text, american)) == len(text.strip())


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=100) | st.text("aA1.!? \n\u3002你🙂", max_size=100))
def test_no_text_has_more_characters_than_it_has(american: Phonemizer, text: str) -> None:
    try:
        counts = [said.characters for said in utterances(text, american)]
    except InvalidRequest:
        return
    assert all(count > 0 for count in counts)
    assert sum(counts) <= len(text.strip())


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("  Good morning to you all, dear friends.\n", [38]),
        ("The first sentence of a text.\n\nThe second sentence of it.", [29, 28]),
        ("This is what can be said here.\n🙂🙂🙂 ...", [30]),
        ("你好\nThis is what can be said here.", [31]),
        ("🙂", []),
        ("", []),
    ],
)
def test_what_has_no_sound_does_not_count(american: Phonemizer, text: str, characters: list[int]) -> None:
    assert [said.characters for said in utterances(text, american)] == characters


def test_only_what_is_asked_for_is_read(american: Phonemizer) -> None:
    read: list[str] = []

    class Counting(Phonemizer):
        def __init__(self) -> None:
            pass

        def __call__(self, text: str) -> list[int]:
            read.append(text)
            return american(text)

    said = utterances("The first sentence of a text. The second sentence of it.", Counting())
    assert read == []
    next(said)
    assert read == ["The first sentence of a text."]
