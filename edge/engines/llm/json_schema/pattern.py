"""The regular expressions of ``pattern`` and ``patternProperties``: ECMA-262 read into the lexer's own
syntax.

JSON Schema asks for ECMA-262; Python's validators run ``re``, and the two disagree on what ``\\d``, ``\\s``,
``.`` or ``$`` match. So a pattern becomes two languages of JSON string contents: *inner*, which every dialect
accepts, and *outer*, which any of them accepts. An answer is held to the inner one; what must not match a
pattern is held outside the outer one. Both are unanchored searches, as JSON Schema has it.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from edge.engines.llm.json_schema import characters as ch
from edge.engines.llm.json_schema.characters import Ranges

MAX_PATTERN = 4_000
"""Characters of a pattern."""
MAX_NESTING = 40
MAX_REPEAT = 100_000
MAX_VARIANTS = 500
"""Ways through a pattern that differ in their anchors."""


class PatternError(ValueError):
    """A pattern that cannot be enforced; the message says which part of it."""


@dataclass(frozen=True, slots=True)
class _Characters:
    """One character. ``inner`` are those that every dialect takes, ``outer`` those that any takes."""

    inner: Ranges
    outer: Ranges


@dataclass(frozen=True, slots=True)
class _Repeat:
    node: "_Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class _Anchor:
    end: bool


@dataclass(frozen=True, slots=True)
class _Sequence:
    items: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple["_Node", ...]


_Node = _Characters | _Repeat | _Anchor | _Sequence | _Choice


def exactly(ranges: Ranges) -> _Characters:
    return _Characters(ranges, ranges)


_ECMA_SPACES = ch.union(
    ch.of("\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"), ((0x2000, 0x200A),)
)
_PYTHON_SPACES = ch.union(
    ch.of("\t\n\v\f\r \x85\u00a0\u1680\u2028\u2029\u202f\u205f\u3000"), ((0x1C, 0x1F), (0x2000, 0x200A))
)
_DOT = _Characters(ch.complement(ch.of("\n\r\u2028\u2029")), ch.complement(ch.one("\n")))
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}


_CLASSES = {
    "d": _Characters(ch.DIGITS, ch.POSSIBLE_DIGITS),
    "w": _Characters(ch.WORDS, ch.POSSIBLE_WORDS),
    "s": _Characters(ch.intersection(_ECMA_SPACES, _PYTHON_SPACES), ch.union(_ECMA_SPACES, _PYTHON_SPACES)),
}


def _class_escape(letter: str) -> _Characters | None:
    positive = _CLASSES.get(letter.lower())
    if positive is None or letter.islower():
        return positive
    return _negated(positive)


def _negated(of: _Characters) -> _Characters:
    return _Characters(ch.complement(of.outer), ch.complement(of.inner))


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.nesting = 0

    def more(self) -> bool:
        return self.at < len(self.text)

    def peek(self, literal: str) -> bool:
        return self.text.startswith(literal, self.at)

    def take(self, literal: str) -> bool:
        if not self.peek(literal):
            return False
        self.at += len(literal)
        return True

    def next(self) -> str:
        if not self.more():
            raise PatternError("it ends in the middle")
        self.at += 1
        return self.text[self.at - 1]

    def choice(self) -> _Node:
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def sequence(self) -> _Node:
        items: list[_Node] = []
        while self.more() and not self.peek("|") and not self.peek(")"):
            items.append(self.repeated(self.atom()))
        return items[0] if len(items) == 1 else _Sequence(tuple(items))

    def repeated(self, node: _Node) -> _Node:
        bounds = self.quantifier()
        if bounds is None:
            return node
        if _anchored(node):
            raise PatternError("an anchor that is repeated cannot be enforced")
        self.take("?")  # a lazy quantifier accepts the same texts
        if self.peek("+") or self.quantifier() is not None:
            raise PatternError("a quantifier stands on another one")
        return _Repeat(node, *bounds)

    def quantifier(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(sign):
                return bounds
        if not self.peek("{"):
            return None
        found = re.compile(r"\{([0-9]{1,6})(,([0-9]{1,6})?)?\}").match(self.text, self.at)
        if found is None:
            raise PatternError("write a literal { as \\{")
        self.at = found.end()
        low = int(found[1])
        high = low if found[2] is None else None if found[3] is None else int(found[3])
        if high is not None and high < low:
            raise PatternError("a quantifier's bounds are the wrong way round")
        if max(low, high or 0) > MAX_REPEAT:
            raise PatternError(f"a quantifier is above {MAX_REPEAT:,}")
        return low, high

    def atom(self) -> _Node:
        character = self.next()
        if character == "^":
            return _Anchor(end=False)
        if character == "$":
            return _Anchor(end=True)
        if character == ".":
            return _DOT
        if character == "(":
            return self.group()
        if character == "[":
            return self.bracket()
        if character == "\\":
            return self.escape(inside=False)
        if character in "*+?{":
            raise PatternError(f"there is nothing that {character} could repeat")
        return exactly(_one(character))

    def group(self) -> _Node:
        if self.take("?"):
            named = re.compile(r"<[A-Za-z_][A-Za-z0-9_]*>").match(self.text, self.at)
            if named is not None:
                self.at = named.end()
            elif not self.take(":"):
                raise PatternError(f"(?{self.text[self.at : self.at + 2]} cannot be enforced")
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise PatternError(f"groups nest deeper than {MAX_NESTING}")
        inside = self.choice()
        self.nesting -= 1
        if not self.take(")"):
            raise PatternError("a group is not closed")
        return inside

    def escape(self, *, inside: bool) -> _Characters:
        letter = self.next()
        found = _class_escape(letter)
        if found is not None:
            return found
        if letter in "xu":
            length = 2 if letter == "x" else 4
            digits = self.text[self.at : self.at + length]
            if not re.fullmatch(f"[0-9A-Fa-f]{{{length}}}", digits):
                raise PatternError(f"\\{letter} needs {length} hexadecimal digits")
            self.at += len(digits)
            return exactly(_one(chr(int(digits, 16))))
        if letter == "b" and inside:
            return exactly(_one("\b"))
        if letter == "0" and self.text[self.at : self.at + 1].isdigit():
            raise PatternError("octal escapes cannot be enforced")
        if letter in _CONTROLS:
            return exactly(_one(_CONTROLS[letter]))
        if letter.isalnum() or not letter.isascii():
            raise PatternError(f"\\{letter} cannot be enforced")
        return exactly(_one(letter))

    def bracket(self) -> _Characters:
        negative = self.take("^")
        inner: list[Ranges] = []
        outer: list[Ranges] = []
        if self.peek("]"):
            raise PatternError("write a literal ] in a class as \\]")
        while not self.take("]"):
            low = self.member()
            if self.peek("-") and not self.peek("-]"):
                self.at += 1
                high = self.member()
                low = exactly(_span(low, high))
            inner.append(low.inner)
            outer.append(low.outer)
        found = _Characters(ch.union(*inner), ch.union(*outer))
        return _negated(found) if negative else found

    def member(self) -> _Characters:
        character = self.next()
        return self.escape(inside=True) if character == "\\" else exactly(_one(character))


def _one(character: str) -> Ranges:
    if ch.SURROGATES[0] <= ord(character) <= ch.SURROGATES[1]:
        raise PatternError("half of a surrogate pair cannot be enforced")
    if ch.UNASSIGNED[0] <= ord(character) <= ch.UNASSIGNED[1]:
        raise PatternError("a character of the unassigned planes 4 to 13 cannot be enforced")
    return ch.one(character)


def _span(low: _Characters, high: _Characters) -> Ranges:
    if not (_is_single(low.inner) and _is_single(high.inner)):
        raise PatternError("a range in a class needs a character at both ends")
    first, last = low.inner[0][0], high.inner[0][0]
    if first > last:
        raise PatternError("a range in a class is the wrong way round")
    return ch.intersection(((first, last),), ch.EVERY)


def _is_single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _anchored(node: _Node) -> bool:
    match node:
        case _Anchor():
            return True
        case _Sequence(items) | _Choice(items):
            return any(map(_anchored, items))
    return False


def _variants(node: _Node) -> list[tuple[_Node, ...]]:
    """Return *node* as sequences in which anchors stand by themselves."""
    if not _anchored(node) or isinstance(node, _Anchor):
        return [(node,)]
    found: list[tuple[_Node, ...]] = []
    if isinstance(node, _Choice):
        found = [variant for option in node.options for variant in _variants(option)]
    elif isinstance(node, _Sequence):
        found = [()]
        for item in node.items:
            found = [(*before, *after) for before in found for after in _variants(item)]
            _bounded(found)
    _bounded(found)
    return found


def _bounded(variants: list[tuple[_Node, ...]]) -> None:
    if len(variants) > MAX_VARIANTS:
        raise PatternError("it has too many anchors inside alternatives")


def _search(variant: tuple[_Node, ...], *, outer: bool) -> str:
    start = end = 0
    while start < len(variant) and variant[start] == _Anchor(end=False):
        start += 1
    while end < len(variant) - start and variant[len(variant) - 1 - end] == _Anchor(end=True):
        end += 1
    body = variant[start : len(variant) - end]
    if any(isinstance(node, _Anchor) for node in body):
        raise PatternError("^ or $ in the middle cannot be enforced")
    anything = ch.quoted_class(ch.EVERY) + "*"
    text = "".join(_written(node, outer=outer) for node in body)
    tail = anything if not end else rf"(?:{ch.quoted_class(ch.one(chr(10)))})?" if outer else ""
    return f"{'' if start else anything}{text}{tail}"


def _written(node: _Node, *, outer: bool) -> str:
    match node:
        case _Characters():
            return ch.quoted_class(node.outer if outer else node.inner)
        case _Sequence(items):
            return f"(?:{''.join(_written(item, outer=outer) for item in items)})"
        case _Choice(options):
            return f"(?:{'|'.join(_written(option, outer=outer) for option in options)})"
        case _Repeat(inside, low, high):
            return f"(?:{_written(inside, outer=outer)}){{{low},{'' if high is None else high}}}"
    raise AssertionError(node)


class Pattern:
    """A pattern as two regular expressions over the content of a JSON string, quotes excluded."""

    def __init__(self, text: str, variants: list[tuple[_Node, ...]]) -> None:
        self.text = text
        self.variants = variants

    @cached_property
    def inner(self) -> str:
        return self._search(outer=False)

    @cached_property
    def outer(self) -> str:
        return self._search(outer=True)

    def _search(self, *, outer: bool) -> str:
        return "|".join(f"(?:{_search(variant, outer=outer)})" for variant in self.variants)


@lru_cache(maxsize=512)
def read_pattern(text: str) -> Pattern:
    """Read an ECMA-262 regular expression.

    Raises:
        PatternError: it is malformed, or holds what cannot be enforced: look-arounds, back-references, word
            boundaries, flags, Unicode properties, anchors in the middle.
    """
    if len(text) > MAX_PATTERN:
        raise PatternError(f"it is longer than {MAX_PATTERN:,} characters")
    reader = _Reader(text)
    node = reader.choice()
    if reader.more():
        raise PatternError("a ) closes nothing")
    pattern = Pattern(text, _variants(node))
    assert pattern.inner
    return pattern
