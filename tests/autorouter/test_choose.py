from collections.abc import Mapping
from dataclasses import replace

import pytest

from autorouter.choose import (
    ModelNotServed,
    Reason,
    Scope,
    UnknownRegion,
    choose,
    parse_scope,
)
from autorouter.grid import Grid
from autorouter.grid_state import EdgeState, GridState, ModelState
from autorouter.place import Place
from shared.regions import Region
from tests.autorouter.grids import answered, away, region

UNWATCHED = GridState()

TORONTO = region("yto-01", "CA", 43.65, -79.38, aliases=("toronto",))
MONTREAL = region("yul-01", "CA", 45.5, -73.57)
NEW_YORK = region("nyc-01", "US", 40.71, -74.01)
LONDON = region("lon-01", "GB", 51.5, -0.12)
HIDDEN = region("lab-01", "CA", 43.65, -79.38, aliases=("lab",), discoverable=False)
REGIONS = [TORONTO, MONTREAL, NEW_YORK, LONDON, HIDDEN]

ONTARIAN = Place("CA", "ON", 43.7, -79.4)

READY = ModelState("m")
GOOD = EdgeState(models={"m": READY})
BUSY = EdgeState(models={"m": replace(READY, busy=True)})
FULL = EdgeState(models={"m": replace(READY, busy=True, full=True)})
LOADING = EdgeState(models={"m": replace(READY, ready=False)})
OTHER = EdgeState(models={"x": READY})
DOWN = replace(GOOD, up=False)
DRAINING = replace(GOOD, draining=True)


def grid_of(overrides: Mapping[str, tuple[Region, ...]] | None = None) -> Grid:
    return Grid.of(REGIONS, None, overrides)


def watched(**edges: EdgeState) -> GridState:
    """Return a state by cities; the edges of those that are not named are GOOD."""
    cities = {"toronto": "yto-01", "montreal": "yul-01", "new_york": "nyc-01", "london": "lon-01"}
    named = {cities.get(city, city): edge for city, edge in edges.items()}
    return GridState(dict.fromkeys(cities.values(), GOOD) | named, watched=True)


@pytest.mark.parametrize("model", [None, "m", " M ", "local/m"])
@pytest.mark.parametrize(
    ("state", "ids"),
    [
        (watched(), ["yto-01", "yul-01", "nyc-01"]),
        (watched(toronto=DOWN), ["yul-01", "nyc-01", "lon-01"]),
        (watched(toronto=DRAINING), ["yul-01", "nyc-01", "lon-01"]),
        (watched(toronto=FULL), ["yul-01", "nyc-01", "lon-01"]),
        (watched(toronto=BUSY), ["yul-01", "nyc-01", "lon-01"]),
        # Under its soft limit: across the border, rather than a busy edge at home.
        (watched(toronto=BUSY, montreal=BUSY), ["nyc-01", "lon-01", "yto-01"]),
        (watched(toronto=BUSY, montreal=BUSY, new_york=BUSY, london=BUSY), ["yto-01", "yul-01", "nyc-01"]),
        (watched(toronto=LOADING, montreal=BUSY), ["nyc-01", "lon-01", "yul-01"]),
        (watched(toronto=DOWN, montreal=DOWN, new_york=DRAINING), ["lon-01"]),
    ],
)
def test_available_edges_are_chosen(model: str | None, state: GridState, ids: list[str]) -> None:
    choice = choose(ONTARIAN, Scope.COUNTRY, model, grid_of(), state)
    assert answered(choice) == [*ids, "available"]


@pytest.mark.parametrize(
    ("state", "ids"),
    [
        (watched(toronto=DOWN, montreal=DOWN, new_york=DOWN, london=DOWN), ["yto-01", "yul-01", "nyc-01"]),
        (
            watched(toronto=DRAINING, montreal=DOWN, new_york=DOWN, london=DOWN),
            ["yul-01", "nyc-01", "lon-01"],
        ),
        (watched(toronto=DOWN, montreal=FULL, new_york=DOWN, london=FULL), ["yul-01", "lon-01", "yto-01"]),
    ],
)
def test_without_an_available_edge_the_answer_is_degraded(state: GridState, ids: list[str]) -> None:
    assert answered(choose(ONTARIAN, Scope.COUNTRY, "m", grid_of(), state)) == [*ids, "degraded"]


def test_model_keeps_the_edges_that_serve_it() -> None:
    state = watched(toronto=OTHER, montreal=OTHER)
    choice = choose(ONTARIAN, Scope.COUNTRY, "m", grid_of(), state)
    assert (choice.region, choice.fallbacks, choice.reason) == (NEW_YORK, (LONDON,), Reason.NEAREST)


@pytest.mark.parametrize("model", ["nonsense", "local/nonsense", "n" * 100_000, "\0", "yto-01/nonsense"])
def test_model_that_nobody_serves(model: str) -> None:
    with pytest.raises(ModelNotServed) as caught:
        choose(ONTARIAN, Scope.COUNTRY, model, grid_of(), watched())
    assert len(str(caught.value)) < 400


def test_model_of_a_hidden_edge_alone_is_served_by_name_only() -> None:
    state = watched(toronto=OTHER, montreal=OTHER, new_york=OTHER, london=OTHER)
    state = GridState({**state.edges, "lab-01": GOOD}, watched=True)
    with pytest.raises(ModelNotServed):
        choose(ONTARIAN, Scope.COUNTRY, "m", grid_of(), state)
    assert choose(ONTARIAN, Scope.COUNTRY, "lab-01/m", grid_of(), state).region == HIDDEN


@pytest.mark.parametrize("model", [None, "", "  ", "nonsense"])
def test_without_anybody_watching_every_edge_counts(model: str | None) -> None:
    choice = choose(ONTARIAN, Scope.COUNTRY, model, grid_of(), UNWATCHED)
    assert answered(choice) == ["yto-01", "yul-01", "nyc-01", "available"]


@pytest.mark.parametrize("name", ["lon-01", "LON-01", " lon-01 "])
def test_named_region_is_the_answer_wherever_the_caller_is(name: str) -> None:
    choice = choose(ONTARIAN, Scope.COUNTRY, None, grid_of(), watched(), name)
    assert (choice.region, choice.fallbacks, choice.reason) == (LONDON, (), Reason.NAMED)
    assert choice.distance_km == pytest.approx(away(ONTARIAN, LONDON), abs=1e-3)
    assert not choice.degraded


@pytest.mark.parametrize("name", ["lab-01", "Lab"])
def test_region_that_is_not_discoverable_is_the_answer_if_it_is_named(name: str) -> None:
    assert choose(None, Scope.COUNTRY, None, grid_of(), watched(), name).region == HIDDEN


def test_named_region_that_is_down_is_told_to_be_degraded() -> None:
    choice = choose(None, Scope.COUNTRY, None, grid_of(), watched(london=DOWN), "lon-01")
    assert (choice.region, choice.degraded) == (LONDON, True)


def test_named_region_must_serve_the_model() -> None:
    state = watched(london=OTHER)
    assert choose(None, Scope.COUNTRY, "x", grid_of(), state, "lon-01").region == LONDON
    with pytest.raises(ModelNotServed):
        choose(None, Scope.COUNTRY, "m", grid_of(), state, "lon-01")


@pytest.mark.parametrize("name", ["nowhere-99", "toronto/", "x" * 100_000, "\0"])
def test_region_that_nobody_knows(name: str) -> None:
    with pytest.raises(UnknownRegion, match=r"^There is no region ") as caught:
        choose(None, Scope.COUNTRY, None, grid_of(), UNWATCHED, name)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("state", [UNWATCHED, watched()])
@pytest.mark.parametrize("model", ["lon-01/m", "LON-01/M"])
def test_region_before_the_model_pins_it(model: str, state: GridState) -> None:
    choice = choose(ONTARIAN, Scope.COUNTRY, model, grid_of(), state)
    assert (choice.region, choice.reason) == (LONDON, Reason.NAMED)
    assert choose(ONTARIAN, Scope.COUNTRY, model, grid_of(), state, "lon-01") == choice
    with pytest.raises(ModelNotServed):
        choose(ONTARIAN, Scope.COUNTRY, model, grid_of(), state, "yto-01")


def test_alias_before_the_model_is_no_pin_since_no_edge_reads_it_so() -> None:
    with pytest.raises(ModelNotServed):
        choose(ONTARIAN, Scope.COUNTRY, "toronto/m", grid_of(), watched())


RULES = {"CA": (NEW_YORK, LONDON), "CA-ON": (LONDON, MONTREAL)}


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(
    ("place", "state", "ids", "reason"),
    [
        (ONTARIAN, UNWATCHED, ["lon-01", "yul-01", "yto-01"], Reason.OVERRIDE),
        (Place("CA", "QC", 45.5, -73.6), UNWATCHED, ["nyc-01", "lon-01", "yul-01"], Reason.OVERRIDE),
        (Place("CA", "QC", None, None), UNWATCHED, ["nyc-01", "lon-01", "yto-01"], Reason.OVERRIDE),
        (ONTARIAN, watched(london=DOWN), ["yul-01", "yto-01", "nyc-01"], Reason.OVERRIDE),
        (ONTARIAN, watched(london=BUSY, montreal=DOWN), ["yto-01", "nyc-01", "lon-01"], None),
        (Place("US", "ON", 40.7, -74.0), UNWATCHED, ["nyc-01", "yul-01", "yto-01"], None),
    ],
)
def test_rule_goes_before_all_but_the_state(
    scope: Scope, place: Place, state: GridState, ids: list[str], reason: Reason | None
) -> None:
    choice = choose(place, scope, None, grid_of(RULES), state)
    assert answered(choice) == [*ids, "available"]
    if reason is None:
        reason = Reason.COUNTRY if scope is Scope.COUNTRY else Reason.NEAREST
    assert choice.reason is reason


@pytest.mark.parametrize("scope", Scope)
def test_country_without_regions_and_coordinates_is_looked_at_from_its_middle(scope: Scope) -> None:
    choice = choose(Place("IE", None, None, None), scope, None, grid_of(), UNWATCHED)
    assert (choice.region, choice.reason, choice.distance_km) == (LONDON, Reason.NEAREST, None)


def test_equally_near_regions_go_by_id() -> None:
    twins = [region("yto-02", "CA", 43.65, -79.38), region("yto-01", "CA", 43.65, -79.38)]
    choice = choose(ONTARIAN, Scope.COUNTRY, None, Grid.of(twins, "yto-02"), UNWATCHED)
    assert choice.region.id == "yto-01"
    assert [other.id for other in choice.fallbacks] == ["yto-02"]


def test_default_goes_before_its_twin_of_lower_id() -> None:
    twins = [region("yto-01", "CA", 43.65, -79.38), region("yto-02", "CA", 43.65, -79.38)]
    assert choose(None, Scope.COUNTRY, None, Grid.of(twins, "yto-02"), UNWATCHED).region.id == "yto-02"


def test_nearest_is_found_across_the_date_line_and_over_the_pole() -> None:
    grid = Grid.of([region("fiji", "FJ", -18, 178), region("hawaii", "US", 21, -157)], "hawaii")
    assert choose(Place(None, None, -17, -179), Scope.GLOBAL, None, grid, UNWATCHED).region.id == "fiji"
    grid = Grid.of([region("norway", "NO", 78, 15), region("iceland", "IS", 64, -150)], "norway")
    assert choose(Place(None, None, 85, -160), Scope.GLOBAL, None, grid, UNWATCHED).region.id == "norway"


@pytest.mark.parametrize("text", ["global", " GLOBAL ", "Global", "\tglobal\n"])
def test_global_scope_is_read(text: str) -> None:
    assert parse_scope(text) is Scope.GLOBAL


@pytest.mark.parametrize("text", [None, "", "country", "COUNTRY", "globa", "global,country", "%00", "世界"])
def test_any_other_scope_is_country(text: str | None) -> None:
    assert parse_scope(text) is Scope.COUNTRY


def test_choice_of_an_edge_that_has_not_told_yet_is_marked() -> None:
    grid = Grid.of([region("a-01", "CA", 0, 0), region("b-01", "CA", 0, 1)], None)
    here = Place("CA", None, 0, 0)
    heard = EdgeState(models={"m": ModelState("m")})
    for edges, unheard in (({}, True), ({"b-01": heard}, True), ({"a-01": heard}, False)):
        choice = choose(here, Scope.COUNTRY, None, grid, GridState(edges, watched=True))
        assert (choice.region.id, choice.unheard) == ("a-01", unheard)
        named = choose(here, Scope.COUNTRY, None, grid, GridState(edges, watched=True), "a-01")
        assert named.unheard is unheard
    assert not choose(here, Scope.COUNTRY, None, grid, UNWATCHED).unheard
