"""What the arguments of a function must look like."""

from collections.abc import Sequence
from typing import Any

from edge.engines.base import InvalidRequest

_COMPOSED = (
    *("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames"),
    *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies"),
)
"""With any of these an object's own ``properties`` do not say what else it may have."""


def arguments_schema(tool: dict[str, Any]) -> dict[str, Any] | None:
    """Return the JSON schema of *tool*'s arguments, None if it takes none.

    The schema of an object that only lists its properties is closed: a function has no use for an argument
    that it does not know, and what the closed schema takes the open one takes too.

    Raises:
        InvalidRequest: the arguments would not be an object.
    """
    schema = dict(tool.get("parameters") or {})
    kinds = schema.get("type", "object")
    if kinds != "object" and not (isinstance(kinds, list) and "object" in kinds):
        raise InvalidRequest(f"The parameters of {tool['name']} must be the schema of an object")
    schema["type"] = "object"
    if any(key in schema for key in _COMPOSED):
        return schema
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return schema  # malformed; whoever compiles it says in what
    if any(name not in properties for name in required):
        return schema
    return schema | {"additionalProperties": False} if properties else None


def parameter_schemas(
    tools: Sequence[dict[str, Any]], *, name: str | None = None
) -> list[tuple[str, dict[str, Any] | None]]:
    """Return the field and the schema of each tool's arguments, or only of the one called *name*.

    Raises:
        InvalidRequest: a tool's arguments would not be an object.
    """
    schemas = []
    for number, tool in enumerate(tools):
        if name is None or tool["name"] == name:
            param = f"tools.{number}.function.parameters"
            try:
                schemas.append((param, arguments_schema(tool)))
            except InvalidRequest as error:
                raise InvalidRequest(str(error), param=param) from None
    return schemas
