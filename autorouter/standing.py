"""How much each edge is worth sending a caller to right now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from autorouter.grid_state import EdgeState, GridState, ModelState
from autorouter.nearest import Located
from shared.regions import Region


class Standing(IntEnum):
    """Best first. ``UNHEARD`` has not told yet whether it serves the model that is asked for, ``LOADING``
    serves it, or anything at all, only later. From ``FULL`` on an edge is not available.
    """

    READY = 0
    BUSY = 1
    LOADING = 2
    UNHEARD = 3
    FULL = 4
    DOWN = 5
    DRAINING = 6

    @property
    def available(self) -> bool:
        return self < Standing.FULL


def standing(edge: EdgeState, model: str | None) -> Standing | None:
    """Return the standing of *edge* for callers of *model*, in lower case; None if it does not serve it.

    For a caller who names no model an edge is as free as the freest of its models that are ready.
    """
    if edge.models is None:
        load = Standing.READY if model is None else Standing.UNHEARD
    elif model is None:
        ready = [_load(state) for state in edge.models.values() if state.ready]
        load = min(ready, default=Standing.LOADING)
    elif model in edge.models:
        load = _load(edge.models[model])
    else:
        return None
    if edge.draining:
        return Standing.DRAINING
    return load if edge.up else Standing.DOWN


def _load(model: ModelState) -> Standing:
    if not model.ready:
        return Standing.LOADING
    if model.full:
        return Standing.FULL
    return Standing.BUSY if model.busy else Standing.READY


def standings(regions: Iterable[Region], state: GridState, model: str | None) -> dict[str, Standing]:
    """Return the standing of every region, by its id, that callers of *model* can be sent to.

    An edge that has never told which models it has counts as long as it is up. Where none has ever told,
    all count: then nobody knows. If the edges are not watched, *model* has no effect.
    """
    if not state.watched:
        model = None
    found: dict[str, Standing] = {}
    silent: list[str] = []
    told = False
    for region in regions:
        edge = state.of(region.id)
        told = told or edge.models is not None
        worth = standing(edge, model)
        if worth is None:
            continue
        if model is not None and edge.models is None and not worth.available:
            silent.append(region.id)
            continue
        found[region.id] = worth
    if not found and not told:
        return dict.fromkeys(silent, Standing.DOWN)
    return found


Group = tuple[str | None, Standing]
"""The regions of a country, or of all where it is None, that have one standing."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The standings of a grid's regions: each one's, those that occur, best first, and who has them."""

    of: Mapping[str, Standing]
    occurring: tuple[Standing, ...]
    groups: Mapping[Group, Sequence[Located]]

    @classmethod
    def call(cls, candidates: Sequence[Located], state: GridState, model: str | None) -> "Roster":
        of = standings((region for region, _ in candidates), state, model)
        groups: dict[Group, list[Located]] = {}
        for located in candidates:
            worth = of.get(located[0].id)
            if worth is not None:
                groups.setdefault((None, worth), []).append(located)
                groups.setdefault((located[0].country, worth), []).append(located)
        return cls(of, tuple(sorted(set(of.values()))), groups)


class Rosters:
    """The rosters of one grid in its present state, each made when it is first asked for.

    They follow from what they are given; keeping them only saves making them again for every caller.
    """

    def __init__(self, candidates: Sequence[Located]) -> None:
        self._candidates = candidates
        self._state = GridState()
        self._models: frozenset[str] | None = None
        self._made: dict[str | None, Roster] = {}

    def of(self, state: GridState, model: str | None) -> Roster:
        """Return the roster for callers of *model*, in lower case, in *state*."""
        if state is not self._state:
            if state != self._state:
                self._made, self._models = {}, None
            self._state = state
        if model is not None:
            model = self._known(state, model)
        roster = self._made.get(model)
        if roster is None:
            roster = self._made[model] = Roster.call(self._candidates, state, model)
        return roster

    def _known(self, state: GridState, model: str) -> str | None:
        """Return *model*, or one name for all that no edge knows: callers may think up any number of them."""
        if not state.watched:
            return None
        if self._models is None:
            told = (state.of(region.id).models for region, _ in self._candidates)
            self._models = frozenset(name for models in told if models is not None for name in models)
        return model if model in self._models else ""
