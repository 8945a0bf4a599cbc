"""The formats that an answer can have, and which of them a request asks for."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgpack

from shared.http.json import JSON_CONTENT_TYPE, encode

ACCEPT_CHARACTERS = 1024
ACCEPT_ENTRIES = 32
"""How much of an Accept header is read; browsers send about 100 characters."""

_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """One format: its content type, every name under which it may be asked for, and what writes it."""

    content_type: str
    names: frozenset[str]
    encode: Callable[[Any], bytes]


JSON = Format(JSON_CONTENT_TYPE, frozenset({JSON_CONTENT_TYPE}), encode)
MSGPACK = Format(
    "application/msgpack",
    frozenset({"application/msgpack", "application/x-msgpack", "application/vnd.msgpack"}),
    msgpack.packb,
)


@lru_cache(maxsize=256)
def _asked_for(accept: str) -> Format:
    ranges = dict(_ranges(accept))
    return MSGPACK if _weight(MSGPACK, ranges) > _weight(JSON, ranges) else JSON


def asked_for(accept: str | None) -> Format:
    """Return the format that an Accept header (RFC 9110, 12.5.1) prefers.

    The quality decides, then which one it names more exactly; otherwise, and where it names neither, JSON.
    """
    return JSON if accept is None else _asked_for(accept[:ACCEPT_CHARACTERS])


def _weight(offered: Format, ranges: dict[str, float]) -> tuple[float, int]:
    """Return quality and exactness of the most exact of *ranges* that takes in *offered*."""
    named = [ranges[name] for name in offered.names if name in ranges]
    quality, exactness = 0.0, 0
    if named:
        quality, exactness = max(named), 2
    elif "application/*" in ranges:
        quality, exactness = ranges["application/*"], 1
    elif "*/*" in ranges:
        quality = ranges["*/*"]
    return quality, exactness if quality else 0


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield media types and their qualities, leaving out entries whose quality is no quality."""
    for entry in accept.lower().split(",", ACCEPT_ENTRIES)[:ACCEPT_ENTRIES]:
        name, *parameters = (part.strip() for part in entry.split(";"))
        qualities = [value for key, _, value in (p.partition("=") for p in parameters) if key == "q"]
        quality = qualities[0] if qualities else "1"
        if _QUALITY.fullmatch(quality):
            yield name, float(quality)
