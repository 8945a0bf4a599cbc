"""Several voices in one, as ``af_bella(2)+am_adam(1)`` asks for them."""

import re

from edge.engines.base import InvalidRequest

MAX_PARTS = 8
"""Voices of one blend; more of them only tend to the average of all."""

MAX_CHARACTERS = 500

HOW = "a blend of voices is written like af_bella(2)+am_adam(1)"

_PART = re.compile(r"\s*([^\s+()]+)\s*(?:\(\s*(\d{1,4}(?:\.\d{1,4})?)\s*\)\s*)?")


def is_blend(name: str) -> bool:
    """Whether *name* means to be more than the name of one voice."""
    return "+" in name or "(" in name


def parse_blend(text: str) -> list[tuple[str, float]]:
    """Return the names in *text* with their shares, which add up to 1; without a weight one counts 1.

    Raises:
        InvalidRequest: it is not written so, or has more than ``MAX_PARTS`` voices.
    """
    shown = repr(text[:60])
    parts = text[: MAX_CHARACTERS + 1].split("+", MAX_PARTS)
    if len(parts) > MAX_PARTS:
        raise InvalidRequest(f"voice: a blend has at most {MAX_PARTS} voices", param="voice")
    weights: list[tuple[str, float]] = []
    for part in parts:
        match = _PART.fullmatch(part)
        if match is None or len(text) > MAX_CHARACTERS:
            raise InvalidRequest(f"voice: {shown} cannot be read; {HOW}", param="voice")
        weights.append((match[1], float(match[2] or 1)))
    total = sum(weight for _, weight in weights)
    if not all(weight for _, weight in weights):
        raise InvalidRequest(f"voice: {shown} needs weights above 0; {HOW}", param="voice")
    return [(name, weight / total) for name, weight in weights]
