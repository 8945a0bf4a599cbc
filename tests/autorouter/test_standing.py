import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.grid import Grid
from autorouter.grid_state import UNKNOWN, EdgeState, GridState, ModelState
from autorouter.standing import Roster, Rosters, Standing, standing, standings
from tests.autorouter.grids import MODELS, grids_in_states, region

READY, BUSY = ModelState("m"), ModelState("m", busy=True)
FULL, LOADING = ModelState("m", busy=True, full=True), ModelState("m", ready=False)

REGIONS = [region(f"r-{number}", "CA", 0, number) for number in range(3)]


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        (EdgeState(models={"m": READY}), Standing.READY),
        (EdgeState(models={"m": BUSY}), Standing.BUSY),
        (EdgeState(models={"m": FULL}), Standing.FULL),
        (EdgeState(models={"m": LOADING}), Standing.LOADING),
        (EdgeState(models={"m": READY, "other": FULL}), Standing.READY),
        (EdgeState(models={"other": READY}), None),
        (EdgeState(models={}), None),
        (EdgeState(up=False, models={"m": READY}), Standing.DOWN),
        (EdgeState(up=False, models={"other": READY}), None),
        (EdgeState(draining=True, models={"m": READY}), Standing.DRAINING),
        (EdgeState(up=False, draining=True, models={"m": READY}), Standing.DRAINING),
        (UNKNOWN, Standing.UNHEARD),
        (EdgeState(up=False), Standing.DOWN),
    ],
)
def test_standing_for_callers_of_a_model(edge: EdgeState, expected: Standing | None) -> None:
    assert standing(edge, "m") is expected


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        (UNKNOWN, Standing.READY),
        (EdgeState(models={"m": READY}), Standing.READY),
        (EdgeState(models={"m": READY, "n": FULL}), Standing.READY),
        (EdgeState(models={"m": FULL, "n": BUSY}), Standing.BUSY),
        (EdgeState(models={"m": FULL, "n": LOADING}), Standing.FULL),
        (EdgeState(models={"m": READY, "n": LOADING}), Standing.READY),
        (EdgeState(models={"m": LOADING}), Standing.LOADING),
        (EdgeState(models={}), Standing.LOADING),
        (EdgeState(up=False), Standing.DOWN),
        (EdgeState(draining=True), Standing.DRAINING),
    ],
)
def test_standing_for_callers_of_any_model(edge: EdgeState, expected: Standing) -> None:
    assert standing(edge, None) is expected


def test_those_up_to_unheard_are_available() -> None:
    assert [worth.name for worth in Standing if worth.available] == ["READY", "BUSY", "LOADING", "UNHEARD"]


def state(*edges: EdgeState, watched: bool = True) -> GridState:
    return GridState({one.id: edge for one, edge in zip(REGIONS, edges, strict=False)}, watched)


SERVES, SERVES_OTHER, SILENT = (
    EdgeState(models={"m": READY}),
    EdgeState(models={"x": READY}),
    EdgeState(up=False),
)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([SERVES, SERVES_OTHER, SERVES_OTHER], {"r-0": Standing.READY}),
        ([SERVES, UNKNOWN, SILENT], {"r-0": Standing.READY, "r-1": Standing.UNHEARD}),
        ([SERVES_OTHER, SERVES_OTHER, UNKNOWN], {"r-2": Standing.UNHEARD}),
        ([SERVES_OTHER, SERVES_OTHER, SILENT], {}),
        ([SERVES_OTHER, SERVES_OTHER, SERVES_OTHER], {}),
        ([EdgeState(up=False, models={"m": READY}), SERVES_OTHER, SILENT], {"r-0": Standing.DOWN}),
        ([SILENT, SILENT, SILENT], {"r-0": Standing.DOWN, "r-1": Standing.DOWN, "r-2": Standing.DOWN}),
    ],
)
def test_who_can_be_asked_for_a_model(edges: list[EdgeState], expected: dict[str, Standing]) -> None:
    assert standings(REGIONS, state(*edges), "m") == expected


def test_models_have_no_effect_as_long_as_nobody_watches() -> None:
    told = standings(REGIONS, state(SERVES_OTHER, SERVES_OTHER, watched=False), "m")
    assert told == dict.fromkeys(["r-0", "r-1", "r-2"], Standing.READY)


@given(grids_in_states(), st.none() | st.sampled_from([*MODELS, "c", "d"]))
def test_roster_holds_every_standing_and_who_has_it(
    grid_in_state: tuple[Grid, GridState], model: str | None
) -> None:
    grid, now = grid_in_state
    roster = Roster.call(grid.candidates, now, model)
    assert roster.of == standings((one for one, _ in grid.candidates), now, model)
    assert list(roster.occurring) == sorted(set(roster.of.values()))
    for (country, worth), members in roster.groups.items():
        expected = [
            one
            for one, _ in grid.candidates
            if roster.of.get(one.id) is worth and country in (None, one.country)
        ]
        assert [one for one, _ in members] == expected
    assert sum(len(members) for (country, _), members in roster.groups.items() if country) == len(roster.of)


@given(grids_in_states(), st.data())
def test_rosters_that_are_kept_are_those_of_the_state_at_hand(
    grid_in_state: tuple[Grid, GridState], data: st.DataObject
) -> None:
    grid, now = grid_in_state
    kept = Rosters(grid.candidates)
    for _ in range(4):
        asked = data.draw(st.sampled_from([now, GridState(dict(now.edges), now.watched), GridState()]))
        model = data.draw(st.none() | st.sampled_from([*MODELS, "c", "d"]))
        assert kept.of(asked, model) == Roster.call(grid.candidates, asked, model)


def test_names_that_no_edge_knows_share_one_roster() -> None:
    kept = Rosters([(one, (1.0, 0.0, 0.0)) for one in REGIONS])
    now = state(SERVES, SERVES, SERVES)
    assert kept.of(now, "x") is kept.of(now, "y")
    assert kept.of(now, "m") is not kept.of(now, "x")
    assert kept.of(now, "m") is kept.of(state(SERVES, SERVES, SERVES), "m")
