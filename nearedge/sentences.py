"""Text that is still being written, cut into sentences that can be spoken meanwhile."""

import re
from collections.abc import Iterator

MIN_CHARACTERS = 24
"""A shorter sentence is spoken together with the one after it: alone it is over before the next is ready."""

MAX_CHARACTERS = 300
"""Longer text without an end is cut between clauses or words, so that the sound need not wait for its end."""

_END = re.compile(r"[.!?\u2026]+[\"'\u2019\u201d\u00bb)\]]*(?=\s)|\n+")
_CLAUSE = re.compile(r"[,;:)\u2013\u2014](?=\s)")
_NO_END = re.compile(r"(?:^|[\s(\"\u201c])(?:[A-Za-z]|\d{1,3}|Mrs?|Ms|Dr|Prof|St|Sr|Jr|No|vs|e\.g|i\.e)$")
"""What a full stop after it does not end: an initial, a list's number, a title."""


class SentenceCutter:
    """Takes text as it comes and gives back each sentence once it is whole.

    Joined, the sentences are the text but for white space. Each holds a letter or a digit: what could not be
    said is kept for the next one, or left out where there is none.
    """

    def __init__(self) -> None:
        self._text = ""

    def feed(self, text: str) -> Iterator[str]:
        """Yield every sentence that *text* completes."""
        self._text += text
        while (cut := self._cut()) is not None:
            sentence, self._text = self._text[:cut].strip(), self._text[cut:]
            yield sentence

    def close(self) -> Iterator[str]:
        """Yield what is left when no more text comes."""
        rest, self._text = self._text.strip(), ""
        if _is_sayable(rest):
            yield rest

    def _cut(self) -> int | None:
        for end in _END.finditer(self._text):
            before = self._text[: end.start()]
            if end.group() == "." and _NO_END.search(before):
                continue
            said = self._text[: end.end()].strip()
            if len(said) >= MIN_CHARACTERS and _is_sayable(said):
                return end.end()
        if len(self._text) <= MAX_CHARACTERS or not _is_sayable(self._text[:MAX_CHARACTERS]):
            return None
        clauses = [clause.end() for clause in _CLAUSE.finditer(self._text, MIN_CHARACTERS, MAX_CHARACTERS)]
        space = self._text.rfind(" ", MIN_CHARACTERS, MAX_CHARACTERS)
        return clauses[-1] if clauses else space if space > 0 else MAX_CHARACTERS


def _is_sayable(text: str) -> bool:
    return any(map(str.isalnum, text))
