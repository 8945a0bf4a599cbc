import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autorouter.choose import (
    FALLBACKS,
    Choice,
    ModelNotServed,
    Reason,
    Scope,
    choose,
    distance_km,
)
from autorouter.grid import Grid
from autorouter.grid_state import EdgeState, GridState
from autorouter.nearest import unit_vector
from autorouter.place import Place
from autorouter.subdivisions import country_middle
from shared.regions import Region
from tests.autorouter.grids import (
    MODELS,
    UNINHABITED,
    answered,
    away,
    countries,
    grids,
    grids_in_states,
    haversine_km,
    latitudes,
    longitudes,
    places,
    vague_places,
)

UNWATCHED = GridState()

scopes = st.sampled_from(Scope)
models = st.none() | st.sampled_from([*MODELS, "c"])


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
