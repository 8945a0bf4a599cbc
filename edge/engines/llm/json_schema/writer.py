"""Writes the live alternatives of a schema as rules of llguidance's Lark dialect.

Keys come in the order in which the schema lists them, then any others. Between the parts of a value there may
be one space after a colon or a comma and nothing else: a model that is free to write white space may do so
for ever.
"""

import json

from edge.engines.llm.json_schema import numbers
from edge.engines.llm.json_schema.alternatives import (
    ANY,
    Alternative,
    Array,
    Boolean,
    Node,
    Null,
    Number,
    Object,
    String,
)
from edge.engines.llm.json_schema.errors import unsupported
from edge.engines.llm.json_schema.expansion import Expansion
from edge.engines.llm.json_schema.objects import ObjectWriter
from edge.engines.llm.json_schema.reach import Reach
from edge.engines.llm.json_schema.terminals import ANY_KEY, Terminals, literal, times

MAX_UNIQUE = 60
"""Values that a list without repetitions can choose from: each is a bit of a rule's parameter."""
MAX_NESTED_ITEMS = 50
"""Optional items that prefixItems can list: each is a group inside the one before it."""

LITERALS = {True: '"true"', False: '"false"'}


class Writer:
    def __init__(self, root: str, expansion: Expansion, terminals: Terminals, reach: Reach) -> None:
        self._root = root
        self._expansion = expansion
        self._terminals = terminals
        self._reach = reach
        self._lines: list[str] = []
        self._names: dict[Node, str] = {}
        self._shared: dict[str, str] = {}
        self._pending: list[Node] = []
        self._rules = 0

    def write(self, root: Node) -> str:
        """Return the grammar's rules; the first is named after the root."""
        self._lines.append(f"{self._root}: {self.value(root)}")
        while self._pending:
            node = self._pending.pop()
            options = [self._option(a) for a in self._live(node) if self._leaf(a) is None]
            leaves = self._leaves(node)
            if leaves:
                options.append(self.terminal(leaves))
            self._lines.append(f"{self._names[node]}: {' | '.join(options)}")
        return "\n".join(self._lines) + "\n"

    def rule(self, body: str) -> str:
        """Write a rule and return its name."""
        name = self._fresh()
        self._lines.append(f"{name}: {body}")
        return name

    def terminal(self, expression: str) -> str:
        """Return the name of the terminal with *expression*."""
        name = self._shared.get(expression)
        if name is None:
            name = self._shared[expression] = f"{self._root.upper()}_T{len(self._shared)}"
            self._lines.append(f"{name}: {expression}")
        return name

    def key(self, expression: str) -> str:
        return self.terminal(f"({expression}) /: ?/")

    @property
    def comma(self) -> str:
        return self.terminal("/, ?/")

    def value(self, node: Node) -> str:
        """Return the name of what writes a value that fits *node*, which is live."""
        name = self._names.get(node)
        if name is None:
            if node == ANY:
                name = self._anything()
            elif all(self._leaf(alternative) is not None for alternative in self._live(node)):
                name = self.terminal(self._leaves(node))
            else:
                name = self._fresh()
                self._pending.append(node)
            self._names[node] = name
        return name

    def repeated(self, item: str, least: int, most: int | None) -> str:
        """Return *item*, *least* to *most* times, with commas in between."""
        if most == 0:
            return ""
        rest = times(f"{self.comma} {item}", max(0, least - 1), None if most is None else most - 1)
        found = f"{item} {rest}"
        return found if least else f"({found})?"

    def _fresh(self) -> str:
        self._rules += 1
        return f"{self._root}_{self._rules}"

    def _live(self, node: Node) -> list[Alternative]:
        return self._reach.live_alternatives(node)

    def _leaves(self, node: Node) -> str:
        leaves = (self._leaf(alternative) for alternative in self._live(node))
        return " | ".join(dict.fromkeys(leaf for leaf in leaves if leaf is not None))

    def _leaf(self, alternative: Alternative) -> str | None:
        match alternative:
            case Null():
                return '"null"'
            case Boolean(values):
                return " | ".join(LITERALS[value] for value in sorted(values))
            case Number():
                return numbers.terminal(alternative)
            case String():
                return self._terminals.string(alternative)
        return None

    def _option(self, alternative: Alternative) -> str:
        match alternative:
            case Number():
                options = {"whitespace_flexible": False}
                return self.rule(
                    f"%json {json.dumps(numbers.embedded(alternative) | {'x-guidance': options})}"
                )
            case Array():
                return self._array(alternative)
            case Object():
                return ObjectWriter(self, self._reach, self._terminals).write(alternative)
        raise AssertionError(alternative)

    def _anything(self) -> str:
        name = self._fresh()
        scalar = self.terminal(f'{ANY_KEY} | {numbers.FREE} | "true" | "false" | "null"')
        members = self.repeated(f"{self.key(ANY_KEY)} {name}", 0, None)
        items = self.repeated(name, 0, None)
        self._lines.append(f'{name}: {scalar} | "{{" {members} "}}" | "[" {items} "]"')
        return name

    def _array(self, of: Array) -> str:
        if of.unique and (of.most is None or of.most > 1):
            return self._unique(of)
        prefix, most = self._listed(of)
        tail_most = None if most is None else most - len(prefix)
        if tail_most != 0 and not self._reach.is_live(of.items):
            tail_most = 0
        tail = ""
        if tail_most != 0:
            tail_least = max(0, of.least - len(prefix))
            item = self.value(of.items)
            if prefix:
                tail = times(f"{self.comma} {item}", tail_least, tail_most)
            else:
                tail = self.repeated(item, tail_least, tail_most)
        if len(prefix) - of.least > MAX_NESTED_ITEMS:
            raise unsupported("prefixItems", of.pointer, f"lists more than {MAX_NESTED_ITEMS} optional items")
        for i in reversed(range(len(prefix))):
            separator = self.comma if i else ""
            tail = f"{separator} {self.value(prefix[i])} {tail}"
            if i >= of.least:
                tail = f"({tail})?"
        return f'"[" {tail} "]"'

    def _listed(self, of: Array) -> tuple[tuple[Node, ...], int | None]:
        """Return the items that have a schema of their own, and how many items there may be at most."""
        prefix = of.prefix if of.most is None else of.prefix[: of.most]
        for i, node in enumerate(prefix):
            if not self._reach.is_live(node):
                return prefix[:i], i
        return prefix, of.most

    def _unique(self, of: Array) -> str:
        texts = None if of.prefix else self._reach.texts(of.items)
        if texts is None or len(texts) > MAX_UNIQUE:
            raise unsupported(
                "uniqueItems",
                of.pointer,
                f"can be enforced only where items has an enum of at most {MAX_UNIQUE} plain values",
            )
        most = len(texts) if of.most is None else min(of.most, len(texts))
        rest = self._fresh()
        options = [f'"" %if bit_count_ge(_, {of.least})']
        for bit, text in enumerate(texts):
            condition = f"and(bit_clear({bit}), bit_count_lt(_, {most}))"
            options.append(f"{self.comma} {literal(text)} {rest}::set_bit({bit}) %if {condition}")
        self._lines.append(f"{rest}::_: " + "\n  | ".join(options))
        first = [f"{literal(text)} {rest}::{1 << bit}" for bit, text in enumerate(texts)]
        if of.least == 0:
            first.append('""')
        return f'"[" ({" | ".join(first)}) "]"'
