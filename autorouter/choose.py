"""Which region a caller is sent to: pure decisions over places, an operator's rules and the grid's state."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from autorouter.grid import Grid
from autorouter.grid_state import GridState
from autorouter.nearest import unit_vector
from autorouter.place import Place
from autorouter.standing import Roster, Standing, standings
from autorouter.subdivisions import Coordinates, country_middle
from shared.regions import Region

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the Earth (IUGG, R1)."""

FALLBACKS = 2
"""How many regions to try next an answer names."""

SHOWN_CHARACTERS = 200
"""Characters of a caller's words that an error repeats."""


class Scope(StrEnum):
    """``COUNTRY`` crosses a border only when the caller's country has no region that is available."""

    COUNTRY = "country"
    GLOBAL = "global"


class Reason(StrEnum):
    """Why this region: the best in the caller's country, the nearest anywhere, the first that the operator's
    rule names, the one that the caller named, or the configured one because nobody can tell where the caller
    is.
    """

    COUNTRY = "country"
    NEAREST = "nearest"
    OVERRIDE = "override"
    NAMED = "named"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """The region to use and those to try after it, best first. ``distance_km`` is the great circle from
    the caller to ``region``; None when the caller's coordinates are unknown. It is ``degraded`` when no
    region seems available, and ``unheard`` when the edge is watched but has not told yet how it is: either
    way it is a guess.
    """

    region: Region
    fallbacks: tuple[Region, ...]
    distance_km: float | None
    reason: Reason
    degraded: bool = False
    unheard: bool = False


class NoChoice(LookupError):
    """There is no region to choose; the message tells the caller what to change."""


class ModelNotServed(NoChoice):
    """No edge that the caller can be sent to serves the model."""


class UnknownRegion(NoChoice):
    """No region has the name that the caller gave."""


class Ranked(NamedTuple):
    """A region that a caller can be sent to, and why it stands where it does."""

    region: Region
    standing: Standing
    reason: Reason


def distance_km(chord: float) -> float:
    """Return the length along the Earth's surface between points *chord* apart on the unit sphere."""
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, chord / 2))


def parse_scope(text: str | None) -> Scope:
    """Read the query's ``scope``; whatever is not understood means country."""
    return Scope.GLOBAL if (text or "").strip().lower() == Scope.GLOBAL else Scope.COUNTRY


def choose(
    place: Place | None,
    scope: Scope,
    model: str | None,
    grid: Grid,
    state: GridState,
    region: str | None = None,
) -> Choice:
    """Choose a region for a caller at *place* who wants to use *model*, or whichever if that is None.

    *region*, or a region's id and a slash before the model, names the one to choose, whatever its state:
    then there are no fallbacks. What is blank counts as None.

    Raises:
        UnknownRegion: *region* names none.
        ModelNotServed: no edge is known to serve *model*, or not the one that is named.
    """
    pinned, wanted = parse_model(model, grid) if model is not None else (None, None)
    if region is not None and region.strip():
        named = grid.named(region.strip())
        if named is None:
            raise UnknownRegion(
                f"There is no region {_shown(region)} here; give the id or an alias of one, or leave region "
                "out for the nearest"
            )
        if pinned is not None and pinned is not named:
            raise _not_served(model)
        pinned = named
    if pinned is not None:
        worth = standings([pinned], state, wanted).get(pinned.id)
        ranked = [Ranked(pinned, worth, Reason.NAMED)] if worth is not None else []
    else:
        ranked = rank(place, scope, grid, grid.rosters.of(state, wanted), 1 + FALLBACKS)
    if not ranked:
        raise _not_served(model)
    best = ranked[0]
    available = best.standing.available
    return Choice(
        region=best.region,
        fallbacks=tuple([other.region for other in ranked[1:] if other.standing.available is available]),
        distance_km=distance_to(best.region, place),
        reason=best.reason,
        degraded=not available,
        unheard=state.watched and state.of(best.region.id).models is None,
    )


def rank(place: Place | None, scope: Scope, grid: Grid, roster: Roster, wanted: int) -> list[Ranked]:
    """Return the *wanted* best regions of *roster* for a caller at *place*, best first.

    A better standing goes before everything else. Among equals come first those that an operator's rule
    names, in its order; then, unless *scope* is global, those of the caller's country; then the nearer
    ones; then those of lower ids. Without the caller's coordinates those of his country are in the order
    of their file, and others by their distance from the country's middle; where that is unknown too, the
    default region goes first and others by their distance from it.
    """
    rule = grid.rule(place)
    preferred = grid.overrides[rule] if rule is not None else ()
    spot, nearest = origin(place, grid)
    here = unit_vector(*spot)
    located = place is not None and place.lat is not None
    country = place.country if place is not None and scope is Scope.COUNTRY else None
    home = grid.at_home.get(country) if country is not None else None
    ranked: list[Ranked] = []
    taken: set[str] = set()
    standing = Standing.READY

    def free(region: Region) -> bool:
        return roster.of.get(region.id) is standing and region.id not in taken

    def add(regions: Iterable[Region], reason: Reason) -> None:
        for region in islice(regions, wanted - len(ranked)):
            ranked.append(Ranked(region, standing, reason))
            taken.add(region.id)

    for standing in roster.occurring:
        if preferred:
            add(filter(free, preferred), Reason.OVERRIDE)
        if home is not None and len(ranked) < wanted:
            compatriots = roster.groups.get((country, standing), ())
            if located:
                near = home.find(here, wanted - len(ranked), free, compatriots)
                add([region for _, _, region in near], Reason.COUNTRY)
            else:
                add(filter(free, (region for region, _ in compatriots)), Reason.COUNTRY)
        if nearest is Reason.DEFAULT and free(grid.default):
            add([grid.default], nearest)
        if len(ranked) < wanted:
            near = grid.anywhere.find(here, wanted - len(ranked), free, roster.groups[None, standing])
            add([region for _, _, region in near], nearest)
        if len(ranked) == wanted:
            break
    return ranked


def parse_model(text: str, grid: Grid) -> tuple[Region | None, str | None]:
    """Return the region that a model's name pins, if any, and the name itself as edges are asked for it.

    A name may stand after ``local/`` or after a region's id and a slash, as in an edge's own API.
    """
    name = text.strip().lower()
    provider, _, rest = name.partition("/")
    if rest and provider == "local":
        return None, rest
    region = grid.named(provider) if rest else None
    if region is not None and region.id.lower() == provider:
        return region, rest
    return None, name or None


def distance_to(region: Region, place: Place | None) -> float | None:
    """Return the kilometres from *place* to *region*; None if the coordinates of *place* are unknown."""
    if place is None or place.lat is None or place.lon is None:
        return None
    here, there = unit_vector(place.lat, place.lon), unit_vector(region.lat, region.lon)
    return distance_km(math.dist(here, there))


def _not_served(model: str | None) -> ModelNotServed:
    return ModelNotServed(
        f"No edge that you can be sent to serves the model {_shown(model)}; ask an edge's /v1/models for "
        "those that it serves"
    )


def _shown(text: str | None) -> str:
    return repr((text or "")[:SHOWN_CHARACTERS])


def origin(place: Place | None, grid: Grid) -> tuple[Coordinates, Reason]:
    """Return where to look from, and what the nearest region from there is to a caller at *place*."""
    if place is not None:
        if place.lat is not None and place.lon is not None:
            return (place.lat, place.lon), Reason.NEAREST
        middle = country_middle(place.country) if place.country is not None else None
        if middle is not None:
            return middle, Reason.NEAREST
    return (grid.default.lat, grid.default.lon), Reason.DEFAULT
