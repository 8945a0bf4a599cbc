"""Writes objects: the listed keys in their order, each at most once, then other keys."""

from typing import Protocol

from edge.engines.llm.json_schema.alternatives import Node, Object
from edge.engines.llm.json_schema.characters import quoted
from edge.engines.llm.json_schema.errors import unsupported
from edge.engines.llm.json_schema.reach import Reach
from edge.engines.llm.json_schema.terminals import Terminals, literal, times

MAX_COUNTED = 100
"""Listed keys of one object where minProperties or maxProperties matter: each is a level of rules."""
MAX_STATES = 4_000
"""Those times the number of keys to count."""


class Rules(Protocol):
    """What an object needs of the :class:`Writer`."""

    @property
    def comma(self) -> str: ...

    def rule(self, body: str) -> str: ...

    def key(self, expression: str) -> str: ...

    def value(self, node: Node) -> str: ...


class ObjectWriter:
    def __init__(self, rules: Rules, reach: Reach, terminals: Terminals) -> None:
        self._rules = rules
        self._reach = reach
        self._terminals = terminals

    def write(self, of: Object) -> str:
        """Return the body of a rule."""
        live = self._reach.live_properties(of)
        listed = [
            (f"{self._rules.key(literal(quoted(name)))} {self._rules.value(node)}", name in of.required)
            for name, node in live.items()
        ]
        others = [
            f"{self._rules.key(key)} {self._rules.value(node)}"
            for key, node in self._terminals.key_groups(of)
            if self._reach.is_live(node)
        ]
        other = self._rules.rule(" | ".join(others)) if others else ""
        possible = None if other else len(listed)
        counted = of.least > len(of.required) or (
            of.most is not None and (possible is None or of.most < possible)
        )
        body = _Counted(self._rules, listed, other, of).write() if counted else self._plain(listed, other)
        return f'"{{" {body} "}}"'

    def _plain(self, listed: list[tuple[str, bool]], other: str) -> str:
        comma = self._rules.comma
        tail = f"({comma} {other})*" if other else ""
        suffixes = _Suffixes(self._rules, [self._after(member, required) for member, required in listed])
        options = []
        for i, (member, required) in enumerate(listed):
            options.append(f"{member} {suffixes.after(i)} {tail}")
            if required:
                break
        else:
            if other:
                options.append(f"{other} {tail}")
            options.append('""')
        return f"({' | '.join(options)})"

    def _after(self, member: str, required: bool) -> str:
        return f"{self._rules.comma} {member}" if required else f"({self._rules.comma} {member})?"


class _Suffixes:
    """Every tail of a sequence, in rules as few and as shallow as a tree of halves allows."""

    def __init__(self, rules: Rules, parts: list[str]) -> None:
        self._rules = rules
        self._parts = parts
        self._halves: dict[tuple[int, int], str] = {}

    def after(self, i: int) -> str:
        """Return what follows part *i*."""
        return " ".join(self._cover(i + 1, 0, len(self._parts)))

    def _cover(self, start: int, low: int, high: int) -> list[str]:
        if start >= high:
            return []
        if start <= low:
            return [self._whole(low, high)]
        middle = (low + high) // 2
        return self._cover(start, low, middle) + self._cover(start, middle, high)

    def _whole(self, low: int, high: int) -> str:
        if high - low == 1:
            return self._parts[low]
        if (low, high) not in self._halves:
            middle = (low + high) // 2
            body = f"{self._whole(low, middle)} {self._whole(middle, high)}"
            self._halves[low, high] = self._rules.rule(body)
        return self._halves[low, high]


class _Counted:
    """An object whose keys are counted.

    Keys that are not listed may repeat, and a repeated key counts once: of such keys at most one can be
    relied on.
    """

    def __init__(self, rules: Rules, listed: list[tuple[str, bool]], other: str, of: Object) -> None:
        self._rules = rules
        self._listed = listed
        self._other = other
        self._of = of
        self._cap = of.least if of.most is None else of.most
        self._states: dict[tuple[int, int], str | None] = {}

    def write(self) -> str:
        if len(self._listed) > MAX_COUNTED or len(self._listed) * (self._cap + 1) > MAX_STATES:
            raise unsupported("minProperties" if self._of.least else "maxProperties", self._of.pointer,
                              f"cannot be enforced beside {len(self._listed)} properties")  # fmt: skip
        for i in reversed(range(len(self._listed) + 1)):
            for made in range(min(i, self._cap) + 1):
                self._states[i, made] = self._state(i, made)
        body = self._states[0, 0]
        if body is None:
            raise unsupported(
                "minProperties",
                self._of.pointer,
                "asks for two or more keys that no other keyword lists, and those might repeat; "
                "list the keys in properties",
            )
        return body

    def _state(self, i: int, made: int) -> str | None:
        """Return the rule for the keys from the listed one *i* on, once *made* keys are there."""
        if i == len(self._listed):
            return self._tail(made)
        member, required = self._listed[i]
        options = []
        if self._of.most is None or made < self._of.most:
            rest = self._states[i + 1, min(made + 1, self._cap)]
            if rest is not None:
                options.append(f"{self._rules.comma if made else ''} {member} {rest}")
        without = None if required else self._states[i + 1, made]
        if without is not None:
            options.append(without)
        return self._rules.rule(" | ".join(options)) if options else None

    def _tail(self, made: int) -> str | None:
        least = max(0, self._of.least - made)
        most = None if self._of.most is None else self._of.most - made
        if least == 0 and (most == 0 or not self._other):
            return '""'
        if least > 1 or not self._other or most == 0:
            return None
        again = times(f"{self._rules.comma} {self._other}", 0, None if most is None else most - 1)
        one = f"{self._rules.comma if made else ''} {self._other} {again}"
        return self._rules.rule(one if least else f'{one} | ""')
