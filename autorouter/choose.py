"""Which region a caller is sent to: pure decisions over coordinates and countries."""

import math
from dataclasses import dataclass
from enum import StrEnum

from autorouter.grid import Grid, Vector, unit_vector
from autorouter.place import Place
from shared.regions import Region

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the Earth (IUGG, R1)."""

FALLBACKS = 2
"""How many regions to try next an answer names."""


class Scope(StrEnum):
    """``COUNTRY`` crosses a border only when the caller's country has no region."""

    COUNTRY = "country"
    GLOBAL = "global"


class Reason(StrEnum):
    """Why this region: the nearest in the caller's country, the nearest anywhere, or the configured one
    because nobody can tell where the caller is.
    """

    COUNTRY = "country"
    NEAREST = "nearest"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """The region to use and those to try after it, best first. ``distance_km`` is the great circle from
    the caller to ``region``; None when the caller's coordinates are unknown.
    """

    region: Region
    fallbacks: tuple[Region, ...]
    distance_km: float | None
    reason: Reason
    degraded: bool = False


def distance_km(chord: float) -> float:
    """Return the length along the Earth's surface between points *chord* apart on the unit sphere."""
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, chord / 2))


def parse_scope(text: str | None) -> Scope:
    """Read the query's ``scope``; whatever is not understood means country."""
    return Scope.GLOBAL if (text or "").strip().lower() == Scope.GLOBAL else Scope.COUNTRY


def _coordinates(place: Place | None) -> tuple[float, float] | None:
    if place is None or place.lat is None or place.lon is None:
        return None
    return place.lat, place.lon


def choose(place: Place | None, scope: Scope, grid: Grid) -> Choice:
    """Choose a region for a caller at *place*: nearer is better, of equally near ones the lower id.

    Scope country puts every region of the caller's country before all others. A caller of unknown
    coordinates is sent to the default region, or the one nearest to it within his country.
    """
    country = place.country if place is not None and scope is Scope.COUNTRY else None
    origin = _coordinates(place)
    located = origin is not None
    here = unit_vector(*(origin or (grid.default.lat, grid.default.lon)))

    def rank(candidate: tuple[Region, Vector]) -> tuple[bool, bool, float, str]:
        region, vector = candidate
        away_from_default = not located and region is not grid.default
        return region.country != country, away_from_default, math.dist(here, vector), region.id

    ranked = sorted(grid.candidates, key=rank)
    region, vector = ranked[0]
    if region.country == country:
        reason = Reason.COUNTRY
    elif located:
        reason = Reason.NEAREST
    else:
        reason = Reason.DEFAULT
    return Choice(
        region=region,
        fallbacks=tuple(other for other, _ in ranked[1 : 1 + FALLBACKS]),
        distance_km=distance_km(math.dist(here, vector)) if located else None,
        reason=reason,
    )
