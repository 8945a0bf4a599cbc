"""A text as a voice says it, piece by piece."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge.engines.tts.phonemes import Phonemizer
from edge.engines.tts.sentences import Break, fit, split_sentences

PIECE_TOKENS = 240
"""Most tokens spoken in one go. Kokoro takes 510 but rushes from about 400 on, and the first sound has to
wait for the whole of its piece."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is spoken in one go. ``characters`` of the text it is, with the white space before it."""

    tokens: list[int]
    end: Break
    characters: int


def utterances(text: str, phonemizer: Phonemizer) -> Iterator[Utterance]:
    """Yield *text* cut into what is spoken in one go, each read only when it is asked for.

    What has no sound of its own is left out, and so are its characters.

    Raises:
        InvalidRequest: it comes upon something that the rules fail on.
    """
    text = text.strip()
    position = 0
    for sentence in split_sentences(text):
        known: dict[str, list[int]] = {}

        def tokens(part: str, known: dict[str, list[int]] = known) -> list[int]:
            if part not in known:
                known[part] = phonemizer(part)
            return known[part]

        for piece in fit(sentence, lambda part: len(tokens(part)), PIECE_TOKENS):
            start, position = position, _end(text, position, piece.text)
            if tokens(piece.text):
                yield Utterance(tokens(piece.text), piece.end, position - start)


def _end(text: str, start: int, piece: str) -> int:
    """Return where *piece* ends in *text*, in which it begins at *start*; white space may differ."""
    missing = sum(not character.isspace() for character in piece)
    position = start
    while missing:
        missing -= not text[position].isspace()
        position += 1
    return position
