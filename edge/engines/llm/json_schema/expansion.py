"""Turns schemas into alternatives: every keyword is either in them or refused by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from edge.engines.llm.json_schema import keywords
from edge.engines.llm.json_schema.alternatives import (
    ANY,
    UNCONSTRAINED,
    Alternative,
    Array,
    Boolean,
    Family,
    Node,
    Null,
    Number,
    Object,
    Source,
    String,
    meet,
)
from edge.engines.llm.json_schema.document import Document
from edge.engines.llm.json_schema.errors import SchemaError, malformed, place, too_large, unsupported
from edge.engines.llm.json_schema.negation import LacksPattern, LacksValues, negated
from edge.engines.llm.json_schema.probe import Probe
from edge.engines.llm.json_schema.typed import Typed, pattern_of

MAX_WORK = 100_000
"""Steps of work on one schema, each of 5 to 20 µs: a second or two."""
MAX_ALTERNATIVES = 1_000
"""Of one value."""
MAX_TEXT = 10_000
"""Characters of one text in const or enum: they are forced in one step, of about 20 ms."""
MAX_PATTERNS = 8
"""Patterns that one string must fit at once; the lexer's work doubles with each."""

Alternatives = tuple[Alternative, ...]


class Loop(SchemaError):
    """A schema that is defined by itself alone."""

    def __init__(self, keyword: str, pointer: str) -> None:
        super().__init__(
            f"the schema at #{pointer[:300]} refers back to itself without a property or an item in between",
            keyword=keyword,
            pointer=pointer,
        )


class Expansion:
    """Expands the nodes of one document, each once.

    *overlap* tells whether some value fits a node; ``oneOf`` needs to know.
    """

    def __init__(
        self, document: Document, probe: Probe, overlap: "Callable[[Expansion, Node], bool]"
    ) -> None:
        self.document = document
        self.probe = probe
        self._overlap = overlap
        self._typed = Typed(document, probe)
        self._of_sources: dict[Source, Alternatives] = {}
        self._of_nodes: dict[Node, Alternatives] = {ANY: UNCONSTRAINED}
        self._open: set[Source] = set()
        self._work = 0
        self._made: list[Mapping[str, Any]] = []

    def alternatives(self, node: Node) -> Alternatives:
        """Return what *node* comes to. A value fits the node if it fits one of them."""
        found = self._of_nodes.get(node)
        if found is None:
            found = UNCONSTRAINED
            for i, source in enumerate(sorted(node, key=lambda source: source.order)):
                found = self._both(found, self._expanded(source)) if i else self._expanded(source)
            self._of_nodes[node] = found
        return found

    def _expanded(self, source: Source) -> Alternatives:
        found = self._of_sources.get(source)
        if found is not None:
            return found
        if source.schema is False:
            return ()
        assert isinstance(source.schema, Mapping)
        if source in self._open:
            raise Loop("$ref", source.pointer)
        self._open.add(source)
        try:
            found = self._read(source.schema, source.pointer)
        finally:
            self._open.discard(source)
        self._of_sources[source] = found
        return found

    def spend(self, work: int) -> None:
        self._work += work
        if self._work > MAX_WORK:
            raise too_large("has too many combinations of its parts", f"{MAX_WORK:,} steps of work")

    def _both(self, first: Alternatives, second: Alternatives) -> Alternatives:
        self.spend(len(first) * len(second))
        found = []
        for a in first:
            for b in second:
                met = meet(a, b, self.probe)
                if met is not None:
                    found.append(met)
                    self.spend(len(met.properties) if isinstance(met, Object) else 1)
                if isinstance(met, String) and len(met.patterns) + len(met.forbidden) > MAX_PATTERNS:
                    raise unsupported(
                        "pattern", met.pointer, f"is one of more than {MAX_PATTERNS} on one string"
                    )
        return self._limited(found)

    def _limited(self, found: Iterable[Alternative]) -> Alternatives:
        distinct = tuple(found)
        if len(distinct) > MAX_ALTERNATIVES:
            raise too_large("has too many alternatives for one value", f"{MAX_ALTERNATIVES:,}")
        return distinct

    def _node(self, schema: Mapping[str, Any] | bool, pointer: str) -> Node:
        return self.document.node(schema, pointer)

    def _make(self, schema: dict[str, Any], pointer: str) -> Node:
        """Return the node of a schema that is not in the document; it is kept, for nodes know schemas by
        identity."""
        self._made.append(schema)
        return self._node(schema, pointer)

    def _any_of(self, nodes: list[Node]) -> Alternatives:
        found = self._limited(alternative for node in nodes for alternative in self.alternatives(node))
        self.spend(len(found))
        return found

    def _read(self, schema: Mapping[str, Any], pointer: str) -> Alternatives:
        self.spend(1 + len(schema))
        if isinstance(schema, LacksPattern):
            pattern = pattern_of(schema["pattern"], "pattern", pointer)
            return (String(forbidden=frozenset({pattern}), pointer=pointer),)
        if isinstance(schema, LacksValues):
            return self._other_than(schema["enum"], pointer)
        keywords.check(schema, pointer)
        found = self._typed.read(schema, pointer)
        if "const" in schema:
            found = self._both(found, self._values([schema["const"]], place(pointer, "const")))
        if "enum" in schema:
            found = self._both(found, self._values(schema["enum"], place(pointer, "enum")))
        if "$ref" in schema:
            found = self._both(found, self.alternatives(self.document.target(schema["$ref"], pointer)))
        for i, part in enumerate(schema.get("allOf", ())):
            found = self._both(found, self.alternatives(self._node(part, place(pointer, "allOf", i))))
        if "anyOf" in schema:
            found = self._both(found, self._any_of(self._options(schema, "anyOf", pointer)))
        if "oneOf" in schema:
            found = self._both(found, self._one_of(schema, pointer))
        for choice in self._conditions(schema, pointer):
            found = self._both(found, self._any_of(choice))
        return found

    def _options(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> list[Node]:
        return [self._node(option, place(pointer, keyword, i)) for i, option in enumerate(schema[keyword])]

    def _one_of(self, schema: Mapping[str, Any], pointer: str) -> Alternatives:
        options = self._options(schema, "oneOf", pointer)
        rest = self._make({k: v for k, v in schema.items() if k != "oneOf"}, pointer)
        if self._differ(options):
            return self._any_of(options)
        for i, first in enumerate(options):
            for j, second in enumerate(options[:i]):
                self.spend(10)
                if self._overlap(self, first | second | rest):
                    raise unsupported(
                        "oneOf",
                        pointer,
                        f"cannot be enforced because a value may fit its options {j} and {i} at once: "
                        "let them differ in a required constant, or use anyOf",
                    )
        return self._any_of(options)

    def _differ(self, options: list[Node]) -> bool:
        """Whether the options are plain values, no value in two of them."""
        seen: set[Alternative | str] = set()
        for node in options:
            values: list[Alternative | str] = []
            for alternative in self.alternatives(node):
                if isinstance(alternative, String) and alternative.values is not None:
                    values += alternative.values
                elif isinstance(alternative, Number) and alternative.lower == alternative.upper is not None:
                    values.append(Number(lower=alternative.lower))
                elif isinstance(alternative, Null):
                    values.append(alternative)
                else:
                    return False
            if not seen.isdisjoint(values):
                return False
            seen.update(values)
        return True

    def _conditions(self, schema: Mapping[str, Any], pointer: str) -> list[list[Node]]:
        """Return choices, of each of which one must hold: what conditional keywords come to."""
        found: list[list[Node]] = []
        lists = dict(schema.get("dependentRequired", {}))
        schemas = dict(schema.get("dependentSchemas", {}))
        keyword = dict.fromkeys(lists, "dependentRequired") | dict.fromkeys(schemas, "dependentSchemas")
        for name, value in schema.get("dependencies", {}).items():
            if not (
                keywords.is_schema(value)
                or (isinstance(value, list) and all(isinstance(v, str) for v in value))
            ):
                raise malformed("dependencies", pointer, "an object of schemas and lists of names")
            (lists if isinstance(value, list) else schemas)[name] = value
            keyword[name] = "dependencies"
        for name, needed in lists.items():
            where = place(pointer, keyword[name], name)
            present = self._make({"required": [name, *needed]}, where)
            found.append([self._make({"properties": {name: False}}, where), present])
        for name, needed in schemas.items():
            where = place(pointer, keyword[name], name)
            present = self._make({"required": [name]}, where) | self._node(needed, where)
            found.append([self._make({"properties": {name: False}}, where), present])
        if "not" in schema:
            found.append([self._make(negated(schema["not"], self.document, place(pointer, "not")), pointer)])
        if "if" in schema and ("then" in schema or "else" in schema):
            condition = self._node(schema["if"], place(pointer, "if"))
            otherwise = self._make(negated(schema["if"], self.document, place(pointer, "if")), pointer)
            then = self._node(schema.get("then", True), place(pointer, "then"))
            other = self._node(schema.get("else", True), place(pointer, "else"))
            found.append([condition | then, otherwise | other])
        return found

    def _values(self, values: list[Any], pointer: str) -> Alternatives:
        """Return the alternatives of literal values."""
        self.spend(len(values))
        made: list[Alternative] = []
        texts = frozenset(value for value in values if isinstance(value, str))
        if any(len(text) > MAX_TEXT for text in texts):
            raise SchemaError(
                f"the schema's text at #{pointer[:300]} is longer than {MAX_TEXT:,} characters "
                "and cannot be enforced",
                pointer=pointer,
            )
        if texts:
            made.append(String(values=texts, pointer=pointer))
        seen: set[Fraction] = set()
        for value in values:
            if value is None:
                made.append(Null())
            elif isinstance(value, bool):
                made.append(Boolean(frozenset({value})))
            elif isinstance(value, int | float):
                number = keywords.exact(value, pointer)
                if number not in seen:
                    made.append(Number(lower=number, upper=number, pointer=pointer))
                seen.add(number)
            elif isinstance(value, list):
                prefix = tuple(self._make({"const": item}, pointer) for item in value)
                made.append(Array(prefix, self.document.never, len(value), len(value), pointer=pointer))
            elif isinstance(value, dict):
                properties = {name: self._make({"const": inner}, pointer) for name, inner in value.items()}
                never = (Family((), self.document.never),)
                made.append(Object(properties, never, frozenset(properties), pointer=pointer))
            elif not isinstance(value, str):
                raise SchemaError("the schema holds a value that is not JSON")
        return self._limited(made)

    def _other_than(self, values: list[Any], pointer: str) -> Alternatives:
        strings = String(excluded=frozenset(v for v in values if isinstance(v, str)), pointer=pointer)
        booleans = frozenset({True, False}) - {v for v in values if isinstance(v, bool)}
        found: list[Alternative] = [strings, *([Boolean(booleans)] if booleans else [])]
        if None not in values:
            found.append(Null())
        taken = sorted(
            {
                keywords.exact(v, pointer)
                for v in values
                if isinstance(v, int | float) and not isinstance(v, bool)
            }
        )
        if taken:
            edges = [None, *taken, None]
            for low, high in pairwise(edges):
                found.append(Number(False, low, low is not None, high, high is not None, pointer=pointer))
        else:
            found.append(Number())
        found += [Array()] if not any(isinstance(v, list) for v in values) else []
        found += [Object()] if not any(isinstance(v, dict) for v in values) else []
        return tuple(replace(a, pointer=pointer) if isinstance(a, Number) else a for a in found)
