"""English text to the phoneme alphabet that Kokoro and hibari share (misaki's), without espeak."""

import json
import re
import unicodedata
from importlib import resources

from hibari.g2p import G2P

from edge.engines.base import InvalidRequest

MAX_RUN = 40
"""Longest run of characters without a space that the grapheme-to-phoneme rules get to see: their time
grows with the cube of it (ten seconds at 512), and few words of any text are longer."""

_PAUSES = frozenset(' ;:,.!?—…"()“”')
_STRESS = frozenset("ˈˌː")

_MARKDOWN_LINK = re.compile(r"\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
_REPEATED = re.compile(r"([^\w\s])\1{3,}")
_LONG_RUN = re.compile(rf"\S{{{MAX_RUN + 1},}}")
_RUN_PART = re.compile(rf"\S{{1,{MAX_RUN}}}(?!\S)|\S{{0,{MAX_RUN - 1}}}[^\w\s](?=\S)|\S{{1,{MAX_RUN}}}")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)(?=\d)")


def readable(text: str) -> str:
    """Return *text* as the rules can read it in time linear to its length.

    Links keep their text, a symbol repeated more than three times is kept three times, invisible
    characters go, and a run of more than ``MAX_RUN`` characters is broken, after a symbol if it has one.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = _MARKDOWN_LINK.sub(r"\1", text)
    # What is left of brackets would be taken for the rules' own [word](/phonemes/).
    text = text.replace("[", "(").replace("]", ")")
    text = _REPEATED.sub(r"\1\1\1", text)
    return _LONG_RUN.sub(lambda run: " ".join(_RUN_PART.findall(run.group())), text)


def plain(text: str) -> str:
    """Return *text* in characters that every rule knows: no accents, ASCII digits, each said alone."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = (c for c in decomposed if not unicodedata.combining(c))
    digits = "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in bare)
    return _BETWEEN_DIGITS.sub(" ", digits)


class Phonemizer:
    """Reads English text aloud on paper: American, or British with *british*."""

    def __init__(self, *, british: bool) -> None:
        self._g2p = G2P(british=british)
        vocabulary = resources.files("hibari").joinpath("assets/vocab.json").read_text("utf-8")
        self._ids: dict[str, int] = json.loads(vocabulary)
        self._sounds = {i for symbol, i in self._ids.items() if symbol not in _PAUSES | _STRESS}

    def __call__(self, text: str) -> list[int]:
        """Return the token ids of *text*, empty if nothing in it can be pronounced.

        Raises:
            InvalidRequest: the rules fail on it.
        """
        readable_text = readable(text)
        if not any(c.isalnum() or unicodedata.category(c).startswith("S") for c in readable_text):
            return []
        ids = [self._ids[symbol] for symbol in self._phonemes(readable_text) if symbol in self._ids]
        return ids if not self._sounds.isdisjoint(ids) else []

    def _phonemes(self, text: str) -> str:
        # The rules raise on digits that int() refuses and on numbers above 36 digits.
        for attempt in (text, plain(text)):
            try:
                phonemes: str = self._g2p(attempt)
            except (ValueError, IndexError, TypeError, KeyError):
                continue
            return phonemes
        raise InvalidRequest(f"input holds text that cannot be read aloud: {text[:60]!r}", param="input")
