"""What is left when a schema must not hold: ``not``, and the ``else`` of an ``if``, written as a schema.

The result may hold of fewer values than it could, never of one that fits the negated schema.
"""

from collections.abc import Mapping
from typing import Any

from edge.engines.llm.json_schema.document import Document
from edge.engines.llm.json_schema.errors import place, unsupported
from edge.engines.llm.json_schema.keywords import ANNOTATIONS, TYPES, check


class LacksPattern(dict[str, Any]):
    """A schema of the strings in which ``pattern`` is not found. A class, so that no caller can send one."""


class LacksValues(dict[str, Any]):
    """A schema of the values that are not in ``enum``."""


def negated(schema: Mapping[str, Any] | bool, document: Document, pointer: str) -> dict[str, Any]:
    """Return a schema that holds of no value of *schema*.

    Raises:
        SchemaError: it has a keyword whose opposite cannot be enforced.
    """
    if isinstance(schema, bool):
        return {"anyOf": [not schema]}
    check(schema, pointer)
    options = [_opposite(keyword, schema, document, pointer) for keyword in schema if _matters(keyword)]
    return {"anyOf": options or [False]}


def _matters(keyword: str) -> bool:
    return keyword not in ANNOTATIONS and not keyword.startswith("x-")


def _opposite(
    keyword: str, schema: Mapping[str, Any], document: Document, pointer: str
) -> dict[str, Any] | bool:
    value = schema[keyword]
    where = place(pointer, keyword)
    match keyword:
        case "type":
            names = {value} if isinstance(value, str) else set(value)
            if "number" in names:
                names.add("integer")
            elif "integer" in names:
                names.add("number")  # the numbers that are no integers are left out
            rest = [name for name in TYPES if name not in names]
            return {"type": rest} if rest else False
        case "const":
            return LacksValues(enum=[value])
        case "enum":
            return LacksValues(enum=value)
        case "pattern":
            return LacksPattern(pattern=value)
        case "minimum":
            return {"type": "number", "exclusiveMaximum": value}
        case "maximum":
            return {"type": "number", "exclusiveMinimum": value}
        case "minLength" | "minItems":
            kind = "string" if keyword == "minLength" else "array"
            return {"type": kind, keyword.replace("min", "max"): value - 1} if value else False
        case "maxLength" | "maxItems":
            kind = "string" if keyword == "maxLength" else "array"
            return {"type": kind, keyword.replace("max", "min"): value + 1}
        case "required":
            lacking: list[Any] = [{"type": "object", "properties": {name: False}} for name in value]
            return {"anyOf": lacking or [False]}
        case "properties":
            failing: list[Any] = [
                {"type": "object", "required": [name], "properties": {name: negated(inner, document,
                place(where, name))}} for name, inner in value.items()
            ]  # fmt: skip
            return {"anyOf": failing or [False]}
        case "allOf":
            return {"anyOf": [negated(inner, document, place(where, i)) for i, inner in enumerate(value)]}
        case "anyOf":
            return {"allOf": [negated(inner, document, place(where, i)) for i, inner in enumerate(value)]}
        case "not":
            return {"allOf": [value]}
        case "exclusiveMinimum" | "exclusiveMaximum" if not isinstance(value, bool):
            bound = "maximum" if keyword == "exclusiveMinimum" else "minimum"
            return {"type": "number", bound: value}
    raise unsupported(keyword, pointer, "cannot be enforced inside not or if")
