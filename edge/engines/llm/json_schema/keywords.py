"""The keywords of JSON Schema: which are known, and what values they may have."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from edge.engines.llm.json_schema.errors import SchemaError, malformed, unsupported
from edge.engines.llm.json_schema.numbers import MAX_DIGITS

TYPES = ("null", "boolean", "number", "integer", "string", "array", "object")

ANNOTATIONS = frozenset(
    {
        *("$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$defs", "definitions"),
        *("$comment", "$vocabulary", "title", "description", "default", "examples", "example", "deprecated"),
        *("readOnly", "writeOnly", "contentMediaType", "contentEncoding", "contentSchema", "discriminator"),
        *("externalDocs", "xml", "nullable"),
    }
)
"""What forbids nothing: annotations of the specification and of OpenAPI."""

DRAFTS = {
    f"json-schema.org/{draft}/schema"
    for draft in ("draft-04", "draft-06", "draft-07", "draft/2019-09", "draft/2020-12")
}

LARGEST_COUNT = 1_000_000
"""No answer is as long as this; a greater lower bound can never be met, a greater upper one never be
broken."""


def is_count(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and value >= 0 and value % 1 == 0


def is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_schema, value))


def _schema_map(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_schema, value.values()))


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _name_lists(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_names, value.values()))


def _types(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _text(value: Any) -> bool:
    return isinstance(value, str)


_COUNT = is_count, "a whole number that is not negative"
_NUMBER = is_number, "a number"
_SCHEMA = is_schema, "a schema: an object, true or false"
_SCHEMAS = _schemas, "a list of schemas, not empty"
_SCHEMA_MAP = _schema_map, "an object of schemas"
_TEXT = _text, "a string"

_SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "$ref": _TEXT,
    "additionalItems": _SCHEMA,
    "additionalProperties": _SCHEMA,
    "allOf": _SCHEMAS,
    "anyOf": _SCHEMAS,
    "const": (lambda _: True, "anything"),
    "contains": _SCHEMA,
    "dependencies": (lambda value: isinstance(value, dict), "an object"),
    "dependentRequired": (_name_lists, "an object of lists of names"),
    "dependentSchemas": _SCHEMA_MAP,
    "else": _SCHEMA,
    "enum": (lambda value: isinstance(value, list) and bool(value), "a list, not empty"),
    "exclusiveMaximum": (lambda value: isinstance(value, bool) or is_number(value), "a number"),
    "exclusiveMinimum": (lambda value: isinstance(value, bool) or is_number(value), "a number"),
    "format": _TEXT,
    "if": _SCHEMA,
    "items": (lambda value: is_schema(value) or _schemas(value), "a schema"),
    "maxContains": _COUNT,
    "maxItems": _COUNT,
    "maxLength": _COUNT,
    "maxProperties": _COUNT,
    "maximum": _NUMBER,
    "minContains": _COUNT,
    "minItems": _COUNT,
    "minLength": _COUNT,
    "minProperties": _COUNT,
    "minimum": _NUMBER,
    "multipleOf": (lambda value: is_number(value) and value > 0, "a number above 0"),
    "not": _SCHEMA,
    "oneOf": _SCHEMAS,
    "pattern": _TEXT,
    "patternProperties": _SCHEMA_MAP,
    "prefixItems": _SCHEMAS,
    "properties": _SCHEMA_MAP,
    "propertyNames": _SCHEMA,
    "required": (_names, "a list of names"),
    "then": _SCHEMA,
    "type": (_types, f"one of {', '.join(TYPES)}, or a list of them"),
    "unevaluatedItems": _SCHEMA,
    "unevaluatedProperties": _SCHEMA,
    "uniqueItems": (lambda value: isinstance(value, bool), "true or false"),
}


def check(schema: Mapping[str, Any], pointer: str) -> None:
    """Raise SchemaError for a keyword that is unknown or has a value that it cannot have.

    Validators ignore a keyword that they do not know; a caller who wrote one meant it, so it is refused by
    name. Names that begin with ``x-`` are extensions and forbid nothing.
    """
    for keyword, value in schema.items():
        shape = _SHAPES.get(keyword)
        if shape is not None:
            if not shape[0](value):
                raise malformed(keyword, pointer, shape[1])
        elif keyword not in ANNOTATIONS and not keyword.startswith("x-"):
            raise unsupported(keyword[:60], pointer, "is unknown or cannot be enforced")


def count(schema: Mapping[str, Any], keyword: str, default: int | None) -> int | None:
    """Return the value of a keyword that counts something."""
    return int(schema[keyword]) if keyword in schema else default


def least(schema: Mapping[str, Any], keyword: str, pointer: str) -> int:
    """Return a lower bound of a count, *LARGEST_COUNT* at most."""
    value = count(schema, keyword, 0)
    assert value is not None
    if value > LARGEST_COUNT:
        raise unsupported(keyword, pointer, f"is above {LARGEST_COUNT:,}, longer than any answer")
    return value


def most(schema: Mapping[str, Any], keyword: str) -> int | None:
    """Return an upper bound of a count; one that no answer can reach is none."""
    value = count(schema, keyword, None)
    return None if value is None or value > LARGEST_COUNT else value


def exact(value: float, pointer: str) -> Fraction:
    """Return a number of the document as the decimal that it was written as."""
    if not math.isfinite(value):
        raise SchemaError(
            f"the schema holds a number at #{pointer[:300]} that JSON cannot hold", pointer=pointer
        )
    number = Fraction(value) if isinstance(value, int) else Fraction(repr(value))
    if max(abs(number), 1 / abs(number) if number else 0) >= 10**MAX_DIGITS:
        raise SchemaError(
            f"the schema's number at #{pointer[:300]} has more than {MAX_DIGITS} digits, too many to enforce",
            pointer=pointer,
        )
    return number
