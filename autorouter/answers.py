"""The answers of /v1/route, made once and given to everybody whom they fit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from autorouter.caching import CacheTimes, cache_control, entity_tag, ttl_seconds, vary
from autorouter.choose import Choice
from autorouter.formats import Format
from autorouter.location import Location
from autorouter.query import Query
from shared.regions import Region

KEPT_ANSWERS = 16_384
"""About 1 kB each. A GeoIP file of cities has some ten times as many places, most callers are in these."""

KEPT_CHARACTERS = 128
"""Answers to longer names of models are made anew each time."""

RawHeaders = list[tuple[bytes, bytes]]
Choose = Callable[[Location, Query], Choice]


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` are those of a 200, ``unchanged`` those of the 304 to who has the answer already."""

    choice: Choice
    tag: str
    headers: RawHeaders
    unchanged: RawHeaders
    body: bytes


def render(choice: Choice, location: Location, wanted: Format, times: CacheTimes) -> Answer:
    """Write *choice* for a caller at *location*."""
    body = wanted.encode(_fields(choice, location, ttl_seconds(choice, times)))
    tag = entity_tag(body)
    caching = {"Cache-Control": cache_control(choice, location, times), "ETag": tag, "Vary": vary(location)}
    content = {"Content-Type": wanted.content_type, "Content-Length": str(len(body))}
    return Answer(choice, tag, _raw(content | caching), _raw(caching), body)


class Answers:
    """The answers while the grid and what is known of it stay as they are; then a new one is due.

    *choose* is pure, so asking it again for the same caller is a waste. What it raises is not kept.
    """

    def __init__(self, choose: Choose, times: CacheTimes) -> None:
        # Not a method: that would be a cycle, which keeps old answers until the garbage collector comes.
        def make(location: Location, query: Query, wanted: Format) -> Answer:
            return render(choose(location, query), location, wanted, times)

        self._make = make
        self._kept = lru_cache(KEPT_ANSWERS)(make)

    def get(self, location: Location, query: Query, wanted: Format) -> Answer:
        """Return what *choose* decides, written as *wanted*; raises what *choose* raises."""
        short = query.model is None or len(query.model) <= KEPT_CHARACTERS
        return (self._kept if short else self._make)(location, query, wanted)


def _raw(headers: dict[str, str]) -> RawHeaders:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _fields(choice: Choice, location: Location, ttl: int) -> dict[str, Any]:
    """``country`` is the caller's; it and ``distance_km`` are null where they are unknown."""
    return {
        **_edge(choice.region),
        "ttl": ttl,
        "country": location.place.country if location.place is not None else None,
        "distance_km": round(choice.distance_km, 1) if choice.distance_km is not None else None,
        "reason": choice.reason,
        "degraded": choice.degraded,
        "fallbacks": [_edge(region) for region in choice.fallbacks],
    }


def _edge(region: Region) -> dict[str, str]:
    return {"region": region.id, "name": region.name, "endpoint": region.url}
