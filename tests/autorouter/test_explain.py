import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.choose import Choice, ModelNotServed, Scope, choose
from autorouter.explain import Origin, explain
from autorouter.grid import Grid
from autorouter.grid_state import UNKNOWN, EdgeState, GridState, ModelState
from autorouter.place import Place
from autorouter.standing import Standing
from tests.autorouter.grids import MODELS, grids_in_states, places, region, vague_places

TORONTO = region("yto-01", "CA", 43.65, -79.38)
LONDON = region("lon-01", "GB", 51.5, -0.12)
GRID = Grid.of([TORONTO, LONDON], None, {"GB": (TORONTO,)})
ONTARIAN = Place("CA", "ON", 43.7, -79.4)


@given(
    places | vague_places,
    st.sampled_from(Scope),
    st.none() | st.sampled_from([*MODELS, "c", "r-00/a"]),
    grids_in_states(),
)
def test_what_is_explained_is_the_choice_that_is_made(
    place: Place | None, scope: Scope, model: str | None, grid_in_state: tuple[Grid, GridState]
) -> None:
    grid, state = grid_in_state
    told = explain(place, scope, model, grid, state)
    choice: Choice | None
    try:
        choice, refusal = choose(place, scope, model, grid, state), None
    except ModelNotServed as error:
        choice, refusal = None, str(error)
    assert (told.choice, told.refusal) == (choice, refusal)
    ids = [candidate.region.id for candidate in told.candidates]
    assert sorted(ids) == sorted(one.id for one, _ in grid.candidates)
    if choice is not None and model != "r-00/a":
        assert ids[: 1 + len(choice.fallbacks)] == [choice.region.id, *(one.id for one in choice.fallbacks)]
        assert told.candidates[0].distance_km == choice.distance_km
    unranked = [candidate for candidate in told.candidates if candidate.standing is None]
    assert unranked == list(told.candidates[len(ids) - len(unranked) :])


def test_each_edge_is_told_as_it_is() -> None:
    down = EdgeState(up=False, models={"m": ModelState("m")})
    other = EdgeState(models={"x": ModelState("x")})
    told = explain(
        ONTARIAN, Scope.COUNTRY, "m", GRID, GridState({"yto-01": other, "lon-01": down}, watched=True)
    )
    assert [(one.region, one.edge, one.standing) for one in told.candidates] == [
        (LONDON, down, Standing.DOWN),
        (TORONTO, other, None),
    ]
    assert told.choice is not None
    assert told.choice.degraded


def test_edges_that_nobody_asks_are_unknown() -> None:
    told = explain(ONTARIAN, Scope.COUNTRY, None, GRID, GridState())
    assert [one.edge for one in told.candidates] == [UNKNOWN, UNKNOWN]
    assert told.rule is None


@pytest.mark.parametrize(
    ("place", "origin", "rule"),
    [
        (ONTARIAN, Origin.CALLER, None),
        (Place(None, None, 0.0, 0.0), Origin.CALLER, None),
        (Place("GB", None, None, None), Origin.COUNTRY, "GB"),
        (Place("AQ", None, None, None), Origin.DEFAULT, None),
        (Place("FR", None, None, None), Origin.COUNTRY, None),
        (None, Origin.DEFAULT, None),
    ],
)
def test_origin_and_rule(place: Place | None, origin: Origin, rule: str | None) -> None:
    told = explain(place, Scope.COUNTRY, None, GRID, GridState())
    assert (told.origin, told.rule) == (origin, rule)
