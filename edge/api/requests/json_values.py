"""JSON that is handed on as it is: schemas of tools and of answers."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator

MAX_VALUES = 20_000
"""Values of one schema, of any kind: four times the properties that OpenAI takes."""


def _within_bounds(schema: dict[str, Any]) -> dict[str, Any]:
    left: list[Any] = [schema]
    seen = 0
    while left:
        value = left.pop()
        seen += 1
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise ValueError("holds an integer of more than 64 bits")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("holds a number that is not finite")
        if seen + len(left) > MAX_VALUES:
            raise ValueError(f"holds more than {MAX_VALUES} values")
    return schema


JsonObject = Annotated[dict[str, Any], AfterValidator(_within_bounds)]
"""A JSON object whose numbers a worker can be sent."""
