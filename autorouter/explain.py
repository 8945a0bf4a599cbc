"""How a choice was made, for an operator who wonders."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from autorouter.choose import (
    Choice,
    NoChoice,
    Ranked,
    Reason,
    Scope,
    choose,
    distance_to,
    origin,
    parse_model,
    rank,
)
from autorouter.grid import Grid
from autorouter.grid_state import EdgeState, GridState
from autorouter.place import Place
from autorouter.standing import Standing
from shared.regions import Region


class Origin(StrEnum):
    """Where distances are counted from: the caller, the middle of his country, or the default region."""

    CALLER = "caller"
    COUNTRY = "country"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region that was considered, and what is known of its edge. ``standing`` is None if it does not
    serve the model; ``distance_km`` is None where the caller's coordinates are unknown.
    """

    region: Region
    edge: EdgeState
    standing: Standing | None
    distance_km: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The choice for a caller, or why there is none, and what led to it.

    ``rule`` is the key of the override that holds for the caller. ``candidates`` are in the order of their
    rank; those that do not serve the model come last, by their ids.
    """

    rule: str | None
    origin: Origin
    candidates: tuple[Candidate, ...]
    choice: Choice | None
    refusal: str | None


def explain(
    place: Place | None, scope: Scope, model: str | None, grid: Grid, state: GridState
) -> Explanation:
    """Make the choice that :func:`choose` makes, and tell how."""
    choice, refusal = None, None
    try:
        choice = choose(place, scope, model, grid, state)
    except NoChoice as error:
        refusal = str(error)
    _, wanted = parse_model(model, grid) if model is not None else (None, None)
    ranked = rank(place, scope, grid, grid.rosters.of(state, wanted), len(grid.candidates))
    candidates = tuple(_candidates(place, ranked, grid, state))
    return Explanation(grid.rule(place), _origin(place, grid), candidates, choice, refusal)


def _origin(place: Place | None, grid: Grid) -> Origin:
    if place is not None and place.lat is not None:
        return Origin.CALLER
    return Origin.DEFAULT if origin(place, grid)[1] is Reason.DEFAULT else Origin.COUNTRY


def _candidates(
    place: Place | None, ranked: list[Ranked], grid: Grid, state: GridState
) -> Iterator[Candidate]:
    standings = {one.region.id: one.standing for one in ranked}
    left = sorted(
        (region for region, _ in grid.candidates if region.id not in standings), key=lambda region: region.id
    )
    for region in [*(one.region for one in ranked), *left]:
        yield Candidate(region, state.of(region.id), standings.get(region.id), distance_to(region, place))
