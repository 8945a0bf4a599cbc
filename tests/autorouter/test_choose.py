import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.choose import (
    EARTH_RADIUS_KM,
    FALLBACKS,
    Reason,
    Scope,
    choose,
    distance_km,
    parse_scope,
)
from autorouter.grid import Grid, unit_vector
from autorouter.place import Place
from shared.regions import Region

COUNTRIES = ["CA", "US", "GB", "JP"]

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
countries = st.sampled_from(COUNTRIES)


def region(id_: str, country: str, lat: float, lon: float, **more: object) -> Region:
    fields = {"id": id_, "name": id_.title(), "location": "Test", "country": country, "lat": lat, "lon": lon}
    return Region(**(fields | {"url": f"https://{id_}.test"} | more))  # type: ignore[arg-type]


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    spots = draw(st.lists(st.tuples(countries, latitudes, longitudes), min_size=1, max_size=12))
    regions = [region(f"r-{i:02}", *spot) for i, spot in enumerate(spots)]
    default = draw(st.sampled_from(regions))
    return Grid.of(draw(st.permutations(regions)), default.id)


places = st.builds(Place, st.none() | countries, st.none(), latitudes, longitudes)


def haversine_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half = math.sin((phi2 - phi1) / 2) ** 2
    half += math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def away(place: Place, region: Region) -> float:
    assert place.lat is not None
    assert place.lon is not None
    return haversine_km(place.lat, place.lon, region.lat, region.lon)


@given(latitudes, longitudes, latitudes, longitudes)
def test_distance_is_the_great_circle(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    chord = math.dist(unit_vector(lat1, lon1), unit_vector(lat2, lon2))
    # Near the antipode both formulas lose digits: a metre in 20,000 km.
    assert distance_km(chord) == pytest.approx(haversine_km(lat1, lon1, lat2, lon2), abs=1e-3)


@given(places, grids())
def test_global_scope_takes_the_nearest(place: Place, grid: Grid) -> None:
    choice = choose(place, Scope.GLOBAL, grid)
    shortest = min(away(place, other) for other, _ in grid.candidates)
    assert away(place, choice.region) == pytest.approx(shortest, abs=1e-3)
    assert choice.reason is Reason.NEAREST
    assert choice.distance_km == pytest.approx(shortest, abs=1e-3)


@given(places, grids())
def test_country_scope_stays_in_the_country_if_it_has_a_region(place: Place, grid: Grid) -> None:
    choice = choose(place, Scope.COUNTRY, grid)
    at_home = [other for other, _ in grid.candidates if other.country == place.country]
    among = at_home or [other for other, _ in grid.candidates]
    assert choice.region in among
    shortest = min(away(place, other) for other in among)
    assert away(place, choice.region) == pytest.approx(shortest, abs=1e-3)
    assert choice.reason is (Reason.COUNTRY if at_home else Reason.NEAREST)


@given(places, st.sampled_from(Scope), grids())
def test_fallbacks_are_what_would_be_chosen_without_those_before(
    place: Place, scope: Scope, grid: Grid
) -> None:
    choice = choose(place, scope, grid)
    assert len(choice.fallbacks) == min(FALLBACKS, len(grid.candidates) - 1)
    passed_over = [choice.region]
    for fallback in choice.fallbacks:
        left = tuple(candidate for candidate in grid.candidates if candidate[0] not in passed_over)
        assert choose(place, scope, Grid(left, grid.default)).region == fallback
        passed_over.append(fallback)


@given(places, st.sampled_from(Scope), grids())
def test_order_of_the_file_does_not_matter(place: Place, scope: Scope, grid: Grid) -> None:
    turned = Grid(grid.candidates[::-1], grid.default)
    assert choose(place, scope, turned) == choose(place, scope, grid)


@given(st.sampled_from(Scope), grids())
def test_caller_from_nowhere_gets_the_default(scope: Scope, grid: Grid) -> None:
    choice = choose(None, scope, grid)
    assert (choice.region, choice.reason, choice.distance_km) == (grid.default, Reason.DEFAULT, None)


@given(countries, grids())
def test_country_without_coordinates_still_counts(country: str, grid: Grid) -> None:
    choice = choose(Place(country, None, None, None), Scope.COUNTRY, grid)
    at_home = [other for other, _ in grid.candidates if other.country == country]
    if at_home:
        assert choice.region in at_home
        assert choice.reason is Reason.COUNTRY
        if grid.default in at_home:
            assert choice.region == grid.default
    else:
        assert (choice.region, choice.reason) == (grid.default, Reason.DEFAULT)
    assert choice.distance_km is None


def test_equally_near_regions_go_by_id() -> None:
    twins = [region("yto-02", "CA", 43.65, -79.38), region("yto-01", "CA", 43.65, -79.38)]
    choice = choose(Place("CA", "ON", 43.7, -79.4), Scope.COUNTRY, Grid.of(twins, "yto-02"))
    assert choice.region.id == "yto-01"
    assert [other.id for other in choice.fallbacks] == ["yto-02"]


def test_default_goes_before_its_twin_of_lower_id() -> None:
    twins = [region("yto-01", "CA", 43.65, -79.38), region("yto-02", "CA", 43.65, -79.38)]
    assert choose(None, Scope.COUNTRY, Grid.of(twins, "yto-02")).region.id == "yto-02"


def test_nearest_is_found_across_the_date_line_and_over_the_pole() -> None:
    grid = Grid.of([region("fiji", "FJ", -18, 178), region("hawaii", "US", 21, -157)], "hawaii")
    assert choose(Place(None, None, -17, -179), Scope.GLOBAL, grid).region.id == "fiji"
    grid = Grid.of([region("norway", "NO", 78, 15), region("iceland", "IS", 64, -150)], "norway")
    assert choose(Place(None, None, 85, -160), Scope.GLOBAL, grid).region.id == "norway"


@pytest.mark.parametrize("text", ["global", " GLOBAL ", "Global", "\tglobal\n"])
def test_global_scope_is_read(text: str) -> None:
    assert parse_scope(text) is Scope.GLOBAL


@pytest.mark.parametrize("text", [None, "", "country", "COUNTRY", "globa", "global,country", "%00", "世界"])
def test_any_other_scope_is_country(text: str | None) -> None:
    assert parse_scope(text) is Scope.COUNTRY
