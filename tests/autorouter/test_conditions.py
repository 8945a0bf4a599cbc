import pytest

from autorouter.conditions import Condition, condition, count_conditions
from autorouter.grid_state import UNKNOWN, EdgeState, GridState, ModelState

IDLE = ModelState("a")
BUSY = ModelState("b", busy=True)
FULL = ModelState("c", busy=True, full=True)
LOADING = ModelState("d", ready=False)


def edge(*models: ModelState, up: bool = True, draining: bool = False) -> EdgeState:
    return EdgeState(up, draining, {model.id: model for model in models})


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (UNKNOWN, Condition.UNKNOWN),
        (edge(), Condition.UP),
        (edge(IDLE), Condition.UP),
        (edge(IDLE, BUSY), Condition.UP),
        (edge(BUSY), Condition.BUSY),
        (edge(BUSY, FULL, LOADING), Condition.BUSY),
        (edge(LOADING), Condition.UP),
        (edge(BUSY, draining=True), Condition.DRAINING),
        (edge(IDLE, up=False, draining=True), Condition.DOWN),
        (EdgeState(up=False), Condition.DOWN),
    ],
)
def test_one_word_for_an_edge(state: EdgeState, expected: Condition) -> None:
    assert condition(state) is expected


def test_every_condition_is_counted() -> None:
    state = GridState({"a": edge(IDLE), "b": edge(up=False)}, watched=True)
    assert count_conditions(["a", "b", "c"], state) == {
        "up": 1,
        "busy": 0,
        "draining": 0,
        "down": 1,
        "unknown": 1,
    }
