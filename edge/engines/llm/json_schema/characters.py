"""Sets of Unicode characters, and how a JSON text writes them.

Every character has exactly one spelling in the JSON that a constrained answer may hold: itself, or the short
escape of RFC 8259 section 7, or ``\\u00xx`` in lower case. Two spellings of one object key would get past a
grammar that forbids the key, and a lone surrogate could be spelled with ``\\u``; neither can be here.
"""

import sys
from itertools import pairwise

Ranges = tuple[tuple[int, int], ...]
"""Sorted inclusive ranges of code points that neither overlap nor touch."""

SURROGATES = (0xD800, 0xDFFF)
UNASSIGNED = (0x40000, 0xDFFFF)
"""Planes 4 to 13: Unicode has no character there, and vocabularies lack the bytes to write one."""
EVERY: Ranges = ((0, 0xD7FF), (0xE000, sys.maxunicode))
"""Every Unicode scalar value."""

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED: Ranges = ((0, 0x1F), (ord('"'), ord('"')), (ord("\\"), ord("\\")), (0x7F, 0x7F))

FREE_CHARACTER = r'(?:[^"\\\x00-\x1F\x7F]|\\["\\bfnrt])'
"""A character of a JSON string as a regular expression. Characters that only ``\\u00xx`` can spell are left
to schemas that ask for them."""


def union(*sets: Ranges) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Return every scalar value that is not in *ranges*."""
    edges = ((-1, -1), *union(ranges, (SURROGATES,)), (sys.maxunicode + 1, sys.maxunicode + 1))
    return tuple(
        (before[1] + 1, after[0] - 1) for before, after in pairwise(edges) if before[1] + 1 < after[0]
    )


def intersection(first: Ranges, second: Ranges) -> Ranges:
    return complement(union(complement(first), complement(second)))


def one(character: str) -> Ranges:
    return ((ord(character), ord(character)),)


def of(characters: str) -> Ranges:
    return union(*(one(character) for character in characters))


DIGITS: Ranges = ((0x30, 0x39),)
WORDS = union(DIGITS, ((0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)))
POSSIBLE_DIGITS = union(DIGITS, ((0x660, 0x1C59), (0xA620, 0xABF9), (0xFF10, 0xFF19), (0x104A0, 0x1FBF9)))
"""Holds every character that some dialect of regular expressions takes for a digit: Unicode's category Nd."""
POSSIBLE_WORDS = complement(
    union(
        complement(union(WORDS, ((0x80, sys.maxunicode),))),
        ((0x80, 0xA9), (0xAB, 0xB1), (0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x20BF), (0x2190, 0x23FF)),
        ((0x2500, 0x2767), (0x3001, 0x3004), (0x1F300, 0x1FAFF)),
    )
)
"""Holds every character that some dialect takes for part of a word: letters, numbers, marks, the
underscore."""


def quoted(text: str) -> str:
    """Return *text* as a JSON string, quotes included, in its one spelling."""
    return f'"{"".join(map(_quoted_character, text))}"'


def _quoted_character(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x20 or code == 0x7F else character


def quoted_class(ranges: Ranges) -> str:
    """Return a regular expression for one character of *ranges* as a JSON string spells it."""
    if not ranges:
        return r"[^\x00-\x{10FFFF}]"
    plain = intersection(ranges, complement(_ESCAPED))
    escaped = [chr(code) for low, high in intersection(ranges, _ESCAPED) for code in range(low, high + 1)]
    short = "".join(rf"\x{{{ord(_SHORT[c][1]):X}}}" for c in escaped if c in _SHORT)
    long = [f"{ord(c):02x}" for c in escaped if c not in _SHORT]
    options = []
    if plain == complement(_ESCAPED):
        options.append(r'[^"\\\x00-\x1F\x7F]')  # the spelling that the mask computation has a short cut for
    elif plain:
        options.append(f"[{''.join(_range(low, high) for low, high in plain)}]")
    if short:
        options.append(rf"\\[{short}]")
    if long:
        options.append(rf"\\u00(?:{'|'.join(long)})")
    return options[0] if len(options) == 1 else f"(?:{'|'.join(options)})"


def _range(low: int, high: int) -> str:
    return _literal(low) if low == high else f"{_literal(low)}-{_literal(high)}"


def _literal(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\x{{{code:X}}}"
