"""Where a text may be cut so that it can be spoken piece by piece."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

MIN_CHARACTERS = 24
"""A shorter sentence is spoken together with the one after it: alone it sounds clipped, and it is over
before the next one is ready."""

WRAPPED_CHARACTERS = 60
"""A line at least this long that ends without punctuation goes on in the next one: the text is wrapped."""


LOOK_BACK = 200
"""How many characters before a mark say whether it ends a sentence."""


class Break(Enum):
    """What ends a piece; the value is the pause after it in seconds at normal speed."""

    PARAGRAPH = 0.7
    SENTENCE = 0.4
    CLAUSE = 0.2
    WORD = 0.04


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that is spoken in one go."""

    text: str
    end: Break


_MARK = r"[.!?\u2026\u3002\uff01\uff1f]"  # the last three are full-width
_CLOSING = r"[\"'\u2019\u201d\u00bb)\]]*"
# Possessive, and only from the start of a run of marks: else a long run takes time with its square.
_END = re.compile(rf"(?<!{_MARK}){_MARK}++{_CLOSING}+(?=\s)|[\u3002\uff01\uff1f]+|\n\s*")
_SPOKEN_END = re.compile(rf"{_MARK}{_CLOSING}$")
_GAP = re.compile(r"\s*")
_CLAUSE = re.compile(r"(?<=[,;:)\u2013\u2014])\s+|(?<=\u2014)(?=\S)")
_SPACE = re.compile(r"\s+")

_LAST_WORD = re.compile(r"[^\W\d_]*$")
_ACRONYM = re.compile(r"(?:\b[A-Za-z]\.)+[A-Za-z]$|\b[A-Z]$")
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*(?:\d{1,3}|[A-Za-z])$")
# fmt: off
_BEFORE_NAME = frozenset([
    "adm", "capt", "cmdr", "col", "dr", "fr", "gen", "gov", "hon", "lt", "maj", "messrs", "mmes", "mr", "mrs",
    "ms", "mt", "mx", "prof", "rep", "rev", "sen", "sgt", "sr", "st", "supt",
])
_BEFORE_NUMBER = frozenset([
    "approx", "apr", "art", "aug", "ca", "ch", "dec", "eq", "feb", "fig", "figs", "jan", "jul", "jun", "mar",
    "no", "nos", "nov", "oct", "op", "p", "pp", "pt", "sec", "sep", "sept", "vol", "vols",
])
# fmt: on
_BEFORE_ANYTHING = frozenset(["cf", "vs", "viz"])


def split_sentences(text: str) -> list[Piece]:
    """Return the sentences of *text* in order; joined, they are *text* but for white space."""
    pieces: list[Piece] = []
    for piece in _sentences(text):
        last = pieces[-1] if pieces else None
        if last and _is_fragment(last):
            pieces[-1] = Piece(f"{last.text} {piece.text}", piece.end)
        else:
            pieces.append(piece)
    return pieces


def _is_fragment(piece: Piece) -> bool:
    short = len(piece.text) < MIN_CHARACTERS and piece.end is Break.SENTENCE
    return short and _SPOKEN_END.search(piece.text) is not None


def _sentences(text: str) -> Iterator[Piece]:
    start = 0
    for match in _END.finditer(text):
        end = _break_at(text, start, match)
        if end is not None:
            if sentence := text[start : match.end()].strip():
                yield Piece(sentence, end)
            start = match.end()
    if rest := text[start:].strip():
        yield Piece(rest, Break.SENTENCE)


def _break_at(text: str, start: int, match: re.Match[str]) -> Break | None:
    """Say what break *match* makes in the sentence that began at *start*; None if it makes none."""
    before = text[max(start, match.start() - LOOK_BACK) : match.start()]
    mark = match.group()
    gap = _GAP.match(text, match.end())
    assert gap is not None
    if (mark + gap.group()).count("\n") > 1:
        return Break.PARAGRAPH
    following = text[gap.end() : gap.end() + 1]
    if mark.isspace():
        line = before.rsplit("\n", 1)[-1].rstrip()
        wrapped = len(line) >= WRAPPED_CHARACTERS or following.islower()
        return None if wrapped and not line.endswith(":") else Break.SENTENCE
    if following.islower() or (mark == "." and _is_abbreviated(before, following)):
        return None
    return Break.SENTENCE


def _is_abbreviated(before: str, following: str) -> bool:
    """Whether the full stop after *before* belongs to a title, an initial, an acronym or a list number."""
    tail = before[-40:]
    found = _LAST_WORD.search(tail)
    word = found.group().lower() if found else ""
    return (
        word in _BEFORE_ANYTHING
        or (word in _BEFORE_NAME and following.isupper())
        or (word in _BEFORE_NUMBER and following.isdigit())
        or _ACRONYM.search(tail) is not None
        or _LIST_NUMBER.search(before) is not None
    )


def fit(piece: Piece, measure: Callable[[str], int], limit: int) -> list[Piece]:
    """Cut *piece* until each part measures at most *limit*: between clauses, else words, else letters.

    Each cut is as near to the middle as it can be, so that the parts are of like length. A single
    letter is never cut.
    """
    text = piece.text
    if measure(text) <= limit or len(text) <= 1:
        return [piece]
    cut, end = _middle(text)
    left, right = text[:cut].rstrip(), text[cut:].lstrip()
    return [*fit(Piece(left, end), measure, limit), *fit(replace(piece, text=right), measure, limit)]


def _middle(text: str) -> tuple[int, Break]:
    """Return where to cut *text* (neither side is empty) and what break that makes."""
    half = len(text) // 2
    clauses = [m.end() for m in _CLAUSE.finditer(text) if len(text) // 5 <= m.end() <= len(text) * 4 // 5]
    if clauses:
        return min(clauses, key=lambda cut: abs(cut - half)), Break.CLAUSE
    words = [m.end() for m in _SPACE.finditer(text) if m.start() > 0 and m.end() < len(text)]
    if words:
        return min(words, key=lambda cut: abs(cut - half)), Break.WORD
    return half, Break.WORD
