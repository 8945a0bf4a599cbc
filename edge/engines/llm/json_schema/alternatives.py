"""What a schema comes to: a list of alternatives, each of one JSON type with everything that must hold of
it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm
from typing import Any, Protocol

from edge.engines.llm.json_schema.pattern import Pattern


class Source:
    """One schema of the document, or one made from it; two are the same only if they are one object."""

    __slots__ = ("order", "pointer", "schema")

    def __init__(self, schema: Mapping[str, Any] | bool, pointer: str, order: int) -> None:
        self.schema = schema
        self.pointer = pointer
        self.order = order


Node = frozenset[Source]
"""Schemas that all hold of one value. The empty one holds of any JSON."""

ANY: Node = frozenset()


@dataclass(frozen=True, slots=True)
class Null:
    pass


@dataclass(frozen=True, slots=True)
class Boolean:
    values: frozenset[bool]


@dataclass(frozen=True, slots=True)
class Number:
    """A range; a bound that is ``open`` is not part of it."""

    integer: bool = False
    lower: Fraction | None = None
    lower_open: bool = False
    upper: Fraction | None = None
    upper_open: bool = False
    multiple: Fraction | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class String:
    """``values``, if given, are the only ones; lengths count code points."""

    least: int = 0
    most: int | None = None
    patterns: frozenset[Pattern] = frozenset()
    forbidden: frozenset[Pattern] = frozenset()
    values: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Array:
    prefix: tuple[Node, ...] = ()
    items: Node = ANY
    least: int = 0
    most: int | None = None
    unique: bool = False
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """What one schema says of the keys that it does not list: by pattern, else ``additional``."""

    patterns: tuple[tuple[Pattern, Node], ...] = ()
    additional: Node = ANY


@dataclass(frozen=True, slots=True)
class Object:
    """``properties`` are all keys that any schema lists, each with all that must hold of its value. ``names``
    holds of every key. Any other key must fit every family."""

    properties: Mapping[str, Node] = field(default_factory=dict)
    families: tuple[Family, ...] = ()
    required: frozenset[str] = frozenset()
    names: Node = ANY
    least: int = 0
    most: int | None = None
    pointer: str = ""


Alternative = Null | Boolean | Number | String | Array | Object

UNCONSTRAINED: tuple[Alternative, ...] = (
    Null(),
    Boolean(frozenset({True, False})),
    Number(),
    String(),
    Array(),
    Object(),
)


def least_of(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else min(first, second)


def meet_numbers(a: Number, b: Number) -> Number | None:
    """Return the numbers that are in both ranges, None if there is none."""
    lower, lower_open = max(
        ((n.lower, n.lower_open) for n in (a, b) if n.lower is not None), default=(None, False)
    )
    upper, upper_open = min(
        ((n.upper, n.upper_open) for n in (a, b) if n.upper is not None),
        key=lambda bound: (bound[0], not bound[1]),
        default=(None, False),
    )
    is_open = lower_open or upper_open
    if lower is not None and upper is not None and (lower > upper or (lower == upper and is_open)):
        return None
    multiple = a.multiple or b.multiple
    if a.multiple and b.multiple:
        denominator = lcm(a.multiple.denominator, b.multiple.denominator)
        multiple = Fraction(lcm(int(a.multiple * denominator), int(b.multiple * denominator)), denominator)
    return Number(
        a.integer or b.integer,
        lower,
        lower_open,
        upper,
        upper_open,
        multiple,
        a.pointer if a.multiple or not b.multiple else b.pointer,
    )


def meet_strings(a: String, b: String) -> String | None:
    values = a.values if b.values is None else b.values if a.values is None else a.values & b.values
    if values is not None:
        values -= a.excluded | b.excluded
        if not values:
            return None
    most = least_of(a.most, b.most)
    least = max(a.least, b.least)
    if most is not None and least > most:
        return None
    return String(
        least,
        most,
        a.patterns | b.patterns,
        a.forbidden | b.forbidden,
        values,
        a.excluded | b.excluded,
        a.pointer if a.patterns or not b.patterns else b.pointer,
    )


def meet_arrays(a: Array, b: Array) -> Array | None:
    most = least_of(a.most, b.most)
    least = max(a.least, b.least)
    if most is not None and least > most:
        return None
    prefix = tuple(
        (a.prefix[i] if i < len(a.prefix) else a.items) | (b.prefix[i] if i < len(b.prefix) else b.items)
        for i in range(max(len(a.prefix), len(b.prefix)))
    )
    pointer = a.pointer if a.unique or not b.unique else b.pointer
    return Array(prefix, a.items | b.items, least, most, a.unique or b.unique, pointer)


def meet_objects(a: Object, b: Object, matches: "Matches") -> Object | None:
    most = least_of(a.most, b.most)
    least = max(a.least, b.least)
    if most is not None and least > most:
        return None
    properties = {
        name: a.properties.get(name, unlisted(a, name, matches))
        | b.properties.get(name, unlisted(b, name, matches))
        for name in (*a.properties, *(name for name in b.properties if name not in a.properties))
    }
    families = tuple(dict.fromkeys((*a.families, *b.families)))
    pointer = b.pointer if b.least > a.least else a.pointer
    return Object(properties, families, a.required | b.required, a.names | b.names, least, most, pointer)


def unlisted(of: Object, name: str, matches: "Matches") -> Node:
    """Return what *of* says of a key that it does not list."""
    node: Node = ANY
    for family in of.families:
        node = node.union(*(found for pattern, found in family.patterns if matches(pattern, name)))
        if not any(matches.certainly(pattern, name) for pattern, _ in family.patterns):
            node |= family.additional
    return node


class Matches(Protocol):
    def __call__(self, pattern: Pattern, text: str) -> bool:
        """Whether *pattern* is found in *text* in any dialect of regular expressions."""

    def certainly(self, pattern: Pattern, text: str) -> bool:
        """Whether it is found in every dialect."""


def meet(a: Alternative, b: Alternative, matches: Matches) -> Alternative | None:
    """Return what is both *a* and *b*, None if plainly nothing is."""
    match a, b:
        case Null(), Null():
            return a
        case Boolean(), Boolean():
            both = a.values & b.values
            return Boolean(both) if both else None
        case Number(), Number():
            return meet_numbers(a, b)
        case String(), String():
            return meet_strings(a, b)
        case Array(), Array():
            return meet_arrays(a, b)
        case Object(), Object():
            return meet_objects(a, b, matches)
    return None


def with_required(of: Object, names: frozenset[str], matches: Matches) -> Object:
    """Return *of* with *names* required, and listed so that a place is kept for them."""
    added = {name: unlisted(of, name, matches) for name in sorted(names) if name not in of.properties}
    return replace(of, properties={**of.properties, **added}, required=of.required | names)
