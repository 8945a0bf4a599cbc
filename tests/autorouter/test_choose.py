import math
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autorouter.choose import (
    EARTH_RADIUS_KM,
    FALLBACKS,
    Choice,
    ModelNotServed,
    Reason,
    Scope,
    UnknownRegion,
    choose,
    distance_km,
    parse_scope,
)
from autorouter.grid import Grid
from autorouter.grid_state import EdgeState, GridState, ModelState
from autorouter.nearest import unit_vector
from autorouter.place import Place
from autorouter.subdivisions import country_middle
from shared.regions import Region
from tests.autorouter.grids import (
    MODELS,
    UNINHABITED,
    countries,
    grids,
    grids_in_states,
    latitudes,
    longitudes,
    places,
    region,
    vague_places,
)

UNWATCHED = GridState()

scopes = st.sampled_from(Scope)
models = st.none() | st.sampled_from([*MODELS, "c"])


def haversine_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half = math.sin((phi2 - phi1) / 2) ** 2
    half += math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def away(place: Place, region: Region) -> float:
    assert place.lat is not None
    assert place.lon is not None
    return haversine_km(place.lat, place.lon, region.lat, region.lon)


def expected(place: Place | None, scope: Scope, model: str | None, grid: Grid, state: GridState) -> list[str]:
    """Return the ids that an answer names, by the plainest means: all regions, sorted.

    Then a word for what the answer says of them: available, degraded, or nothing if there is none.
    """
    shown = [one for one in grid.regions if one.discoverable]
    edges = {one.id: state.edges.get(one.id, EdgeState()) for one in shown}
    asked = model if state.watched else None
    told = any(edge.models is not None for edge in edges.values())

    def tier(one: Region) -> int | None:
        edge = edges[one.id]
        known = edge.models
        if asked is not None and known is None and (edge.draining or not edge.up):
            return None if told else 5
        if asked is not None and known is not None and asked not in known:
            return None
        if edge.draining:
            return 6
        if not edge.up:
            return 5
        if known is None:
            return 0 if asked is None else 3
        using = [known[asked]] if asked is not None else [m for m in known.values() if m.ready]
        if not using or not using[0].ready:
            return 2
        return min(4 if m.full else 1 if m.busy else 0 for m in using)

    country = place.country if place is not None else None
    subdivision = place.subdivision if place is not None else None
    rule = grid.overrides.get(f"{country}-{subdivision}", grid.overrides.get(str(country), ()))
    located = place is not None and place.lat is not None and place.lon is not None
    spot = (place.lat, place.lon) if place is not None and located else country_middle(str(country))
    lost = spot is None
    lat, lon = spot or (grid.default.lat, grid.default.lon)
    here = unit_vector(lat or 0, lon or 0)

    def key(one: Region) -> tuple[object, ...]:
        preferred = rule.index(one) if one in rule else len(rule)
        abroad = scope is Scope.GLOBAL or one.country != country
        place_in_file = 0 if abroad or located else grid.regions.index(one)
        other = lost and abroad and one != grid.default
        distance = math.dist(here, unit_vector(one.lat, one.lon))
        return tier(one), preferred, abroad, place_in_file, other, distance, one.id

    ranked = sorted((one for one in shown if tier(one) is not None), key=key)
    if not ranked:
        return []
    free = [one for one in ranked if (tier(one) or 0) < 4]
    return [one.id for one in (free or ranked)[:3]] + ["available" if free else "degraded"]


def answered(choice: Choice) -> list[str]:
    ids = [choice.region.id, *(other.id for other in choice.fallbacks)]
    return [*ids, "degraded" if choice.degraded else "available"]


@given(places | vague_places, scopes, models, grids_in_states())
def test_choice_is_that_of_a_plain_sort(
    place: Place | None, scope: Scope, model: str | None, grid_in_state: tuple[Grid, GridState]
) -> None:
    grid, state = grid_in_state
    ranked = expected(place, scope, model, grid, state)
    if not ranked:
        with pytest.raises(ModelNotServed, match=r"^No edge .* serves the model '[abc]'"):
            choose(place, scope, model, grid, state)
        return
    assert answered(choose(place, scope, model, grid, state)) == ranked


@given(places | vague_places, scopes, models, grids_in_states(), st.randoms())
def test_two_autorouters_in_the_same_state_answer_the_same(
    place: Place | None,
    scope: Scope,
    model: str | None,
    grid_in_state: tuple[Grid, GridState],
    chance: random.Random,
) -> None:
    """They have read the same file and heard the same in another order; one has answered others before."""
    grid, state = grid_in_state
    items = list(state.edges.items())
    chance.shuffle(items)
    other_state = GridState(dict(items), state.watched)
    other = Grid.of(grid.regions, grid.default.id, grid.overrides)
    for earlier in (UNWATCHED, other_state):
        _attempt(None, Scope.GLOBAL, "b", other, earlier)
    assert _attempt(place, scope, model, grid, state) == _attempt(place, scope, model, other, other_state)


def _attempt(
    place: Place | None, scope: Scope, model: str | None, grid: Grid, state: GridState
) -> Choice | None:
    try:
        return choose(place, scope, model, grid, state)
    except ModelNotServed:
        return None


@given(places, scopes, models, grids_in_states(), st.randoms())
def test_order_of_the_file_does_not_matter_where_the_caller_is_known(
    place: Place,
    scope: Scope,
    model: str | None,
    grid_in_state: tuple[Grid, GridState],
    chance: random.Random,
) -> None:
    grid, state = grid_in_state
    regions = list(grid.regions)
    chance.shuffle(regions)
    turned = Grid.of(regions, grid.default.id, grid.overrides)
    assert _attempt(place, scope, model, turned, state) == _attempt(place, scope, model, grid, state)


@given(latitudes, longitudes, latitudes, longitudes)
def test_distance_is_the_great_circle(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    chord = math.dist(unit_vector(lat1, lon1), unit_vector(lat2, lon2))
    # Near the antipode both formulas lose digits: a metre in 20,000 km.
    assert distance_km(chord) == pytest.approx(haversine_km(lat1, lon1, lat2, lon2), abs=1e-3)


def plain(grid: Grid) -> Grid:
    """Return *grid* without rules."""
    return Grid.of(grid.regions, grid.default.id)


@given(places, grids().map(plain))
def test_global_scope_takes_the_nearest(place: Place, grid: Grid) -> None:
    choice = choose(place, Scope.GLOBAL, None, grid, UNWATCHED)
    shortest = min(away(place, other) for other, _ in grid.candidates)
    assert away(place, choice.region) == pytest.approx(shortest, abs=1e-3)
    assert choice.reason is Reason.NEAREST
    assert choice.distance_km == pytest.approx(shortest, abs=1e-3)


@given(places, grids().map(plain))
def test_country_scope_stays_in_the_country_if_it_has_a_region(place: Place, grid: Grid) -> None:
    choice = choose(place, Scope.COUNTRY, None, grid, UNWATCHED)
    at_home = [other for other, _ in grid.candidates if other.country == place.country]
    among = at_home or [other for other, _ in grid.candidates]
    assert choice.region in among
    shortest = min(away(place, other) for other in among)
    assert away(place, choice.region) == pytest.approx(shortest, abs=1e-3)
    assert choice.reason is (Reason.COUNTRY if at_home else Reason.NEAREST)


@given(places | vague_places, scopes, models, grids_in_states())
def test_fallbacks_are_what_would_be_chosen_without_those_before(
    place: Place | None, scope: Scope, model: str | None, grid_in_state: tuple[Grid, GridState]
) -> None:
    grid, state = grid_in_state
    choice = _attempt(place, scope, model, grid, state)
    assume(choice is not None)
    assert choice is not None
    # Once the default has gone another one would be the default, and an origin.
    assume(place is not None and place.lat is not None)
    left = grid
    for before, fallback in zip((choice.region, *choice.fallbacks), choice.fallbacks, strict=False):
        regions = [one for one in left.regions if one != before]
        rules = {key: tuple(one for one in rule if one != before) for key, rule in left.overrides.items()}
        left = Grid.of(regions, None, rules)
        assert choose(place, scope, model, left, state).region == fallback


@given(scopes, grids().map(plain))
def test_caller_from_nowhere_gets_the_default(scope: Scope, grid: Grid) -> None:
    choice = choose(None, scope, None, grid, UNWATCHED)
    assert (choice.region, choice.reason, choice.distance_km) == (grid.default, Reason.DEFAULT, None)


@given(countries | st.just(UNINHABITED), grids().map(plain))
def test_country_without_coordinates_has_its_regions_in_the_order_of_their_file(
    country: str, grid: Grid
) -> None:
    choice = choose(Place(country, None, None, None), Scope.COUNTRY, None, grid, UNWATCHED)
    at_home = [other for other, _ in grid.candidates if other.country == country]
    if at_home:
        assert [choice.region, *choice.fallbacks][: len(at_home)] == at_home[: 1 + FALLBACKS]
        assert choice.reason is Reason.COUNTRY
    elif country_middle(country) is not None:
        assert choice.reason is Reason.NEAREST
    else:
        assert (choice.region, choice.reason) == (grid.default, Reason.DEFAULT)
    assert choice.distance_km is None


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
