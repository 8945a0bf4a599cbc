"""What the keywords of one type say of its values: numbers, strings, arrays, objects."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from edge.engines.llm.json_schema import formats, keywords, numbers
from edge.engines.llm.json_schema.alternatives import (
    Alternative,
    Array,
    Boolean,
    Family,
    Node,
    Null,
    Number,
    Object,
    String,
    meet_numbers,
    with_required,
)
from edge.engines.llm.json_schema.document import Document
from edge.engines.llm.json_schema.errors import malformed, place, unsupported
from edge.engines.llm.json_schema.pattern import Pattern, PatternError, read_pattern
from edge.engines.llm.json_schema.probe import Probe

MAX_PROPERTIES = 500
"""Listed keys of one object."""
MAX_STEP = 10_000
"""The greatest multipleOf: the lexer has a state for every remainder."""


def pattern_of(text: str, keyword: str, pointer: str) -> Pattern:
    """Read the pattern that *keyword* of the schema at *pointer* holds."""
    try:
        return read_pattern(text)
    except PatternError as error:
        raise unsupported(keyword, pointer, f"cannot be enforced: in {text[:100]!r}, {error}") from error


class Typed:
    def __init__(self, document: Document, probe: Probe) -> None:
        self._document = document
        self._probe = probe

    def read(self, schema: Mapping[str, Any], pointer: str) -> tuple[Alternative, ...]:
        """Return the alternatives of a schema's types; keywords that hold of several types are left out."""
        types = schema.get("type", keywords.TYPES)
        types = {types} if isinstance(types, str) else set(types)
        made: list[Alternative] = []
        if "null" in types:
            made.append(Null())
        if "boolean" in types:
            made.append(Boolean(frozenset({True, False})))
        if "number" in types or "integer" in types:
            number = self._number(schema, pointer, integer="number" not in types)
            made += [] if number is None else [number]
        if "string" in types:
            string = self._string(schema, pointer)
            made += [] if string is None else [string]
        if "array" in types:
            array = self._array(schema, pointer)
            made += [] if array is None else [array]
        if "object" in types:
            obj = self._object(schema, pointer)
            made += [] if obj is None else [obj]
        return tuple(made)

    def _number(self, schema: Mapping[str, Any], pointer: str, *, integer: bool) -> Number | None:
        parts = [Number(integer=integer, pointer=pointer)]
        strict = {"exclusiveMinimum": False, "exclusiveMaximum": False}
        for keyword in strict:
            if isinstance(schema.get(keyword), bool):
                if not self._document.is_draft4:
                    raise malformed(keyword, pointer, "a number (a boolean only under draft-04)")
                strict[keyword] = schema[keyword]
        bounds = {
            keyword: keywords.exact(schema[keyword], place(pointer, keyword))
            for keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
            if keyword in schema and not isinstance(schema[keyword], bool)
        }
        if "minimum" in bounds:
            parts.append(Number(lower=bounds["minimum"], lower_open=strict["exclusiveMinimum"]))
        if "exclusiveMinimum" in bounds:
            parts.append(Number(lower=bounds["exclusiveMinimum"], lower_open=True))
        if "maximum" in bounds:
            parts.append(Number(upper=bounds["maximum"], upper_open=strict["exclusiveMaximum"]))
        if "exclusiveMaximum" in bounds:
            parts.append(Number(upper=bounds["exclusiveMaximum"], upper_open=True))
        if "multipleOf" in schema:
            parts.append(Number(multiple=self._step(schema["multipleOf"], pointer), pointer=pointer))
        bits = formats.INTEGER_BITS.get(schema.get("format", ""))
        if bits is not None:
            reach = Fraction(2 ** (bits - 1))
            parts.append(Number(lower=-reach, upper=reach - 1))
        found: Number | None = parts[0]
        for part in parts[1:]:
            found = None if found is None else meet_numbers(found, part)
        return found

    def _step(self, value: float, pointer: str) -> Fraction:
        step = keywords.exact(value, place(pointer, "multipleOf"))
        if step.denominator != 1 and not numbers.is_dyadic(step):
            raise unsupported(
                "multipleOf",
                pointer,
                f"is {value}: validators disagree on fractions that binary numbers cannot hold; "
                "only whole numbers, 0.5, 0.25, 0.125 and 0.0625 can be enforced",
            )
        if step > MAX_STEP:
            raise unsupported("multipleOf", pointer, f"is above {MAX_STEP:,} and cannot be enforced")
        return step

    def _string(self, schema: Mapping[str, Any], pointer: str) -> String | None:
        patterns: set[Pattern] = set()
        if "pattern" in schema:
            patterns.add(pattern_of(schema["pattern"], "pattern", pointer))
        if "format" in schema:
            name = schema["format"]
            if name not in formats.NAMES:
                raise unsupported(
                    "format", pointer, f"is {name[:60]!r}, which cannot be enforced; known are "
                    f"{', '.join(sorted(formats.NAMES))}"
                )  # fmt: skip
            found = formats.format_pattern(name)
            patterns |= set() if found is None else {found}
        least = keywords.least(schema, "minLength", pointer)
        most = keywords.most(schema, "maxLength")
        if most is not None and least > most:
            return None
        return String(least, most, frozenset(patterns), pointer=pointer)

    def _array(self, schema: Mapping[str, Any], pointer: str) -> Array | None:
        items = schema.get("items", True)
        prefix = schema.get("prefixItems", [])
        keyword = "prefixItems"
        if isinstance(items, list):  # how drafts before 2020-12 write prefixItems
            if prefix:
                raise malformed("items", pointer, "a schema beside prefixItems")
            keyword, prefix, items = "items", items, schema.get("additionalItems", True)
        if "contains" in schema and keywords.count(schema, "minContains", 1) != 0:
            raise unsupported("contains", pointer)
        if "contains" in schema and "maxContains" in schema:
            raise unsupported("maxContains", pointer)
        if schema.get("unevaluatedItems", True) is not True:
            raise unsupported("unevaluatedItems", pointer, "cannot be enforced; say items: false instead")
        least = keywords.least(schema, "minItems", pointer)
        most = keywords.most(schema, "maxItems")
        if most is not None and least > most:
            return None
        return Array(
            tuple(self._document.node(item, place(pointer, keyword, i)) for i, item in enumerate(prefix)),
            self._document.node(items, place(pointer, "items")),
            least,
            most,
            schema.get("uniqueItems", False),
            pointer,
        )

    def _object(self, schema: Mapping[str, Any], pointer: str) -> Object | None:
        additional = self._additional(schema, pointer)
        patterns = tuple(
            (pattern_of(text, "patternProperties", pointer), self._document.node(inner, place(pointer,
            "patternProperties", text))) for text, inner in schema.get("patternProperties", {}).items()
        )  # fmt: skip
        properties: dict[str, Node] = {}
        if len(schema.get("properties", ())) > MAX_PROPERTIES:
            raise unsupported("properties", pointer, f"lists more than {MAX_PROPERTIES} keys")
        for name, inner in schema.get("properties", {}).items():
            fitting = [node for pattern, node in patterns if self._probe(pattern, name)]
            properties[name] = self._document.node(inner, place(pointer, "properties", name)).union(*fitting)
        names = self._document.node(schema.get("propertyNames", True), place(pointer, "propertyNames"))
        least = keywords.least(schema, "minProperties", pointer)
        most = keywords.most(schema, "maxProperties")
        if most is not None and least > most:
            return None
        families = (Family(patterns, additional),) if patterns or additional else ()
        bare = Object(properties, families, frozenset(), names, least, most, pointer)
        for name in schema.get("required", ()):
            bare = with_required(bare, frozenset({name}), self._probe)
        return bare

    def _additional(self, schema: Mapping[str, Any], pointer: str) -> Node:
        unevaluated = schema.get("unevaluatedProperties", True)
        if unevaluated is not True and "additionalProperties" not in schema:
            applied = {"allOf", "anyOf", "oneOf", "$ref", "if", "not", "dependentSchemas", "dependencies"}
            if applied & set(schema):
                raise unsupported(
                    "unevaluatedProperties",
                    pointer,
                    f"cannot be enforced beside {', '.join(sorted(applied & set(schema)))}",
                )
            return self._document.node(unevaluated, place(pointer, "unevaluatedProperties"))
        return self._document.node(
            schema.get("additionalProperties", True), place(pointer, "additionalProperties")
        )
