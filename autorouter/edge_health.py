"""What the polls of one edge add up to: pure decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from autorouter.grid_state import UNKNOWN, EdgeState, ModelState
from shared.edge_status import EdgeStatus, ModelStatus


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``down_after`` polls in a row that miss take an edge down, ``up_after`` that succeed bring it back."""

    down_after: int
    up_after: int


class Manner(Enum):
    """What an edge did with the last poll: it answered; it did not, but is not down yet; it did not."""

    ANSWERING = "answering"
    FAILING = "failing"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class EdgeHealth:
    """One edge after some polls. ``streak`` counts the polls in a row that speak against ``state.up``.

    An edge that was never up comes up with the first poll that succeeds, and goes down with the first that
    misses: until then nobody can tell. Everything but ``up`` is as the edge told it last.
    """

    state: EdgeState = UNKNOWN
    was_up: bool = False
    streak: int = 0

    @property
    def manner(self) -> Manner:
        """How it took the last poll; one that was never asked counts as answering."""
        if self.state.up:
            return Manner.FAILING if self.streak else Manner.ANSWERING
        return Manner.ANSWERING if self.streak else Manner.SILENT

    def succeeded(self, status: EdgeStatus, thresholds: Thresholds) -> Self:
        """Return the health after a poll that was answered with *status*."""
        against = self.streak + 1
        up = self.state.up or not self.was_up or against >= thresholds.up_after
        state = EdgeState(up, status.draining, _models(status, self.state.models or {}))
        return replace(self, state=state, was_up=self.was_up or up, streak=0 if up else against)

    def missed(self, thresholds: Thresholds, *, leaving: bool = False) -> Self:
        """Return the health after a poll that was not answered, or with a refusal of an edge that is
        *leaving*.
        """
        against = self.streak + 1
        up = self.state.up and self.was_up and against < thresholds.down_after
        state = replace(self.state, up=up, draining=self.state.draining or leaving)
        return replace(self, state=state, streak=against if up else 0)


def _models(status: EdgeStatus, before: Mapping[str, ModelState]) -> dict[str, ModelState]:
    """Return the models by all their names; of two that claim one name the first has it."""
    models: dict[str, ModelState] = {}
    for told in status.models:
        was = before.get(_key(told.id))
        model = ModelState(
            told.id,
            ready=told.state == "loaded",
            busy=_holds(told, told.soft_limit, was is not None and was.busy),
            full=_holds(told, told.limit, was is not None and was.full),
        )
        for name in (told.id, *told.names):
            models.setdefault(_key(name), model)
    return models


def _key(name: str) -> str:
    return name.strip().lower()


def _holds(model: ModelStatus, limit: int, held: bool) -> bool:
    """Whether *model* holds *limit* requests, or if it *held* them before still more than 80 % of that: one
    request more or less is no change.
    """
    return 5 * model.in_flight > 4 * limit if held else model.in_flight >= limit
