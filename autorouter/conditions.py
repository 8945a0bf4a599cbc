"""How the edges are, counted for people and dashboards."""

from collections.abc import Iterable
from enum import StrEnum

from autorouter.grid_state import EdgeState, GridState


class Condition(StrEnum):
    """What an edge is to the choice; ``UNKNOWN`` is one that has never told, ``BUSY`` one whose every ready
    model is at its soft limit.
    """

    UP = "up"
    BUSY = "busy"
    DRAINING = "draining"
    DOWN = "down"
    UNKNOWN = "unknown"


def condition(edge: EdgeState) -> Condition:
    """Return the one word for *edge*; being down outweighs all else."""
    if not edge.up:
        return Condition.DOWN
    if edge.draining:
        return Condition.DRAINING
    if edge.models is None:
        return Condition.UNKNOWN
    ready = [model for model in edge.models.values() if model.ready]
    return Condition.BUSY if ready and all(model.busy or model.full for model in ready) else Condition.UP


def count_conditions(region_ids: Iterable[str], state: GridState) -> dict[str, int]:
    """Return how many of the edges are in each condition, also in those that none is in."""
    counts = {str(name): 0 for name in Condition}
    for region_id in region_ids:
        counts[str(condition(state.of(region_id)))] += 1
    return counts
