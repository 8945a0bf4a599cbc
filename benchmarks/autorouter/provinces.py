"""What a map by country and subdivision answers: the region nearest to the middle of a province's callers."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from autorouter.place import Place
from benchmarks.autorouter.product import Choice, Grid, GridState, Scope, chosen

Province = tuple[str, str]
"""Country and subdivision; the subdivision is empty for those callers of a country who have none."""


def by_province(places: Iterable[Place], grid: Grid) -> dict[Province, Choice]:
    """Return a choice for every province that one of *places* lies in."""
    callers: dict[Province, list[tuple[float, float]]] = defaultdict(list)
    for place in places:
        if place.country is not None and place.lat is not None and place.lon is not None:
            callers[place.country, place.subdivision or ""].append((place.lat, place.lon))
    return {
        (country, subdivision): chosen(
            Place(country, subdivision or None, *middle(points)), Scope.COUNTRY, grid, GridState()
        )
        for (country, subdivision), points in callers.items()
    }


def middle(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the latitude and longitude, in degrees, of the mean of *points* on the sphere."""
    x = y = z = 0.0
    for lat, lon in points:
        phi, theta = math.radians(lat), math.radians(lon)
        x += math.cos(phi) * math.cos(theta)
        y += math.cos(phi) * math.sin(theta)
        z += math.sin(phi)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def answer(choice: Choice, country: str | None, ttl_seconds: int) -> Mapping[str, Any]:
    """Return the fields that the autorouter answers with, as far as a map can know them."""
    edges = [
        {"region": region.id, "name": region.name, "endpoint": region.url}
        for region in (choice.region, *choice.fallbacks)
    ]
    return {
        **edges[0],
        "ttl": ttl_seconds,
        "country": country,
        "distance_km": None,
        "reason": choice.reason.value,
        "degraded": False,
        "fallbacks": edges[1:],
    }
