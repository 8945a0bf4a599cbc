"""Strings and keys of objects as expressions of Lark terminals, and whether anything matches them."""

import json
from collections.abc import Iterable, Iterator

from edge.engines.llm.json_schema import numbers
from edge.engines.llm.json_schema.alternatives import (
    Alternative,
    Boolean,
    Node,
    Null,
    Number,
    Object,
    String,
)
from edge.engines.llm.json_schema.characters import EVERY, FREE_CHARACTER, quoted, quoted_class
from edge.engines.llm.json_schema.errors import unsupported
from edge.engines.llm.json_schema.expansion import Expansion
from edge.engines.llm.json_schema.probe import TooComplex

MAX_KEY_GROUPS = 32
"""Kinds of keys that the patterns of one object tell apart."""
MAX_KEY_PATTERNS = 10
"""Patterns of keys of one object; the lexer's work doubles with each."""
ANY_KEY = f'/"{FREE_CHARACTER}*"/'


def literal(text: str) -> str:
    """Return a Lark string for the JSON text *text*."""
    return json.dumps(text, ensure_ascii=False)


def string_literals(values: Iterable[str]) -> str:
    return " | ".join(literal(quoted(value)) for value in sorted(values))


class Terminals:
    def __init__(self, expansion: Expansion) -> None:
        self._expansion = expansion
        self._probe = expansion.probe
        self._strings: dict[String, str | None] = {}
        self._numbers: dict[Number, bool] = {}
        self._groups: dict[int, list[tuple[str, Node]]] = {}

    def fits(self, text: str, of: String, *, surely: bool = True) -> bool:
        """Whether *text* is one of *of*: in every dialect of regular expressions, or *surely* off, in any."""
        if of.values is not None and text not in of.values:
            return False
        if text in of.excluded or len(text) < of.least or (of.most is not None and len(text) > of.most):
            return False
        found = self._probe.certainly if surely else self._probe
        lacks = self._probe if surely else self._probe.certainly
        return all(found(p, text) for p in of.patterns) and not any(lacks(p, text) for p in of.forbidden)

    def string(self, of: String) -> str | None:
        """Return the expression of a string, None if there is none."""
        if of not in self._strings:
            try:
                self._strings[of] = self._string(of)
            except TooComplex:
                raise unsupported("pattern", of.pointer, "is too complex to be enforced") from None
        return self._strings[of]

    def _string(self, of: String) -> str | None:
        if of.values is not None:
            self._expansion.spend(len(of.values) * (1 + len(of.patterns) + len(of.forbidden)))
            values = [value for value in of.values if self.fits(value, of)]
            return string_literals(values) or None
        for character in (FREE_CHARACTER, quoted_class(EVERY)):
            found = f'/"{times(character, of.least, of.most)}"/'
            for pattern in sorted(of.patterns, key=lambda pattern: pattern.text):
                found += f' & /"(?:{pattern.inner})"/'
            for pattern in sorted(of.forbidden, key=lambda pattern: pattern.text):
                found += f' & ~/"(?:{pattern.outer})"/'
            if of.excluded:
                found += f" & ~({string_literals(of.excluded)})"
            if " & " not in found or not self._probe.is_empty(found):
                return found
        return None

    def texts(self, of: Alternative) -> list[str] | None:
        """Return the JSON texts of a live alternative, None if they cannot be listed."""
        match of:
            case Null():
                return ["null"]
            case Boolean(values):
                return ["true" if value else "false" for value in sorted(values)]
            case Number() if of.lower is not None and of.lower == of.upper:
                return [numbers.literal(of.lower)]
            case String() if of.values is not None:
                return [quoted(value) for value in sorted(of.values) if self.fits(value, of)]
        return None

    def may_overlap(self, of: String) -> bool:
        """Whether some string may be one of *of* in some dialect."""
        if of.values is not None:
            return any(self.fits(value, of, surely=False) for value in of.values)
        if of.most is None and not of.patterns and not of.forbidden:
            return True
        found = f'/"{times(quoted_class(EVERY), of.least, of.most)}"/'
        found += "".join(f' & /"(?:{pattern.outer})"/' for pattern in of.patterns)
        found += "".join(f' & ~/"(?:{pattern.inner})"/' for pattern in of.forbidden)
        if of.excluded:
            found += f" & ~({string_literals(of.excluded)})"
        return not self._probe.is_empty(found)

    def number_exists(self, of: Number) -> bool:
        """Whether a number of the range can be written."""
        if of not in self._numbers:
            self._numbers[of] = self._number_exists(of)
        return self._numbers[of]

    def _number_exists(self, of: Number) -> bool:
        if numbers.is_empty(of):
            return False
        expression = numbers.terminal(of)
        if expression is not None:
            return " & " not in expression or not self._probe.is_empty(expression)
        return numbers.embedded(of) is not None

    def key_groups(self, of: Object) -> list[tuple[str, Node]]:
        """Return what keys that *of* does not list look like, and the node of their values.

        The groups have no key in common. Groups whose values nothing fits are among them.
        """
        if id(of) not in self._groups:
            try:
                self._groups[id(of)] = list(self._key_groups(of))
            except TooComplex:
                raise unsupported("patternProperties", of.pointer, "is too complex to be enforced") from None
        return self._groups[id(of)]

    def _key_groups(self, of: Object) -> Iterator[tuple[str, Node]]:
        bases = [ANY_KEY] if not of.names else self.keys(of.names)
        if not bases:
            return
        base = bases[0] if len(bases) == 1 else "(" + " | ".join(f"({b})" for b in bases) + ")"
        if of.properties:
            base += f" & ~({string_literals(of.properties)})"
        groups: list[tuple[str, frozenset[str]]] = [(base, frozenset())]
        patterns = {pattern.text: pattern for family in of.families for pattern, _ in family.patterns}
        if len(patterns) > MAX_KEY_PATTERNS:
            raise unsupported("patternProperties", of.pointer, f"has more than {MAX_KEY_PATTERNS} patterns")
        for text, pattern in patterns.items():
            split = [(f'{key} & /"(?:{pattern.inner})"/', found | {text}) for key, found in groups]
            split += [(f'{key} & ~/"(?:{pattern.outer})"/', found) for key, found in groups]
            self._expansion.spend(100 * len(split))
            groups = [(key, found) for key, found in split if not self._probe.is_empty(key)]
            if len(groups) > MAX_KEY_GROUPS:
                raise unsupported(
                    "patternProperties", of.pointer, f"makes more than {MAX_KEY_GROUPS} kinds of keys"
                )
        for key, found in groups:
            node: Node = frozenset()
            for family in of.families:
                fitting = [inner for pattern, inner in family.patterns if pattern.text in found]
                node = node.union(*fitting) if fitting else node | family.additional
            yield key, node

    def keys(self, names: Node) -> list[str]:
        """Return the expressions of the keys that ``propertyNames`` allows."""
        strings = (a for a in self._expansion.alternatives(names) if isinstance(a, String))
        return [found for found in map(self.string, strings) if found is not None]

    def may_be_key(self, name: str, names: Node) -> bool:
        if not names:
            return True
        return any(isinstance(a, String) and self.fits(name, a) for a in self._expansion.alternatives(names))


def times(of: str, least: int, most: int | None) -> str:
    """Return *of*, *least* to *most* times, as Lark and regular expressions write it."""
    if most == 0:
        return ""
    return f"({of})" + ("*" if least == 0 and most is None else f"{{{least},{'' if most is None else most}}}")
