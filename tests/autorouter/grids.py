"""Grids that tests make up."""

import math
import random

from hypothesis import strategies as st

from autorouter.choose import EARTH_RADIUS_KM, Choice
from autorouter.grid import Grid
from autorouter.grid_state import EdgeState, GridState, ModelState
from autorouter.place import Place
from shared.regions import Region

COUNTRIES = ["CA", "US", "GB", "JP"]
UNINHABITED = "AQ"
"""A country without a middle."""
MODELS = ["a", "b"]

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
countries = st.sampled_from(COUNTRIES)


def region(id_: str, country: str, lat: float, lon: float, **more: object) -> Region:
    fields = {"id": id_, "name": id_.title(), "location": "Test", "country": country, "lat": lat, "lon": lon}
    return Region(**(fields | {"url": f"https://{id_}.test"} | more))  # type: ignore[arg-type]


def scattered(count: int, chance: random.Random) -> list[Region]:
    """Return regions all over the world, some of them in the same place."""
    regions: list[Region] = []
    for number in range(count):
        near = chance.choice(regions) if regions and chance.random() < 0.2 else None
        lat, lon = (near.lat, near.lon) if near else (chance.uniform(-90, 90), chance.uniform(-180, 180))
        regions.append(region(f"r-{number:04}", chance.choice(COUNTRIES), lat, lon))
    chance.shuffle(regions)
    return regions


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Grids of 1 to 12 regions, some at the same place, some hidden, with rules."""
    spots = st.tuples(countries, latitudes, longitudes) | st.tuples(
        countries, st.integers(-2, 2), st.integers(-2, 2)
    )
    rows = draw(st.lists(st.tuples(spots, st.integers(0, 3)), min_size=1, max_size=12))
    regions = [
        region(f"r-{i:02}", *spot, discoverable=i == 0 or hidden != 0)
        for i, (spot, hidden) in enumerate(rows)
    ]
    shown = [one for one in regions if one.discoverable]
    rules = draw(
        st.dictionaries(
            countries | st.just("CA-ON"),
            st.lists(st.sampled_from(shown), min_size=1, unique=True),
            max_size=2,
        )
    )
    default = draw(st.sampled_from(shown))
    return Grid.of(
        draw(st.permutations(regions)),
        default.id,
        {key: tuple(listed) for key, listed in rules.items()},
    )


places = st.builds(Place, st.none() | countries, st.none() | st.just("ON"), latitudes, longitudes)
vague_places = st.none() | st.builds(
    Place, st.none() | countries | st.just(UNINHABITED), st.none() | st.just("ON"), st.none(), st.none()
)

_models = st.dictionaries(
    st.sampled_from(MODELS), st.builds(ModelState, st.sampled_from(MODELS), *[st.booleans()] * 3)
)
_edges = st.builds(
    EdgeState,
    st.sampled_from([True, True, False]),
    st.sampled_from([False, False, True]),
    st.none() | _models,
)


@st.composite
def states(draw: st.DrawFn, grid: Grid) -> GridState:
    """States in which some edges of *grid* may not have been heard of."""
    drawn = {one.id: draw(st.none() | _edges) for one in grid.regions}
    edges = {id_: edge for id_, edge in drawn.items() if edge is not None}
    return GridState(edges, watched=draw(st.sampled_from([True, True, False])))


@st.composite
def grids_in_states(draw: st.DrawFn) -> tuple[Grid, GridState]:
    grid = draw(grids())
    return grid, draw(states(grid))


def haversine_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half = math.sin((phi2 - phi1) / 2) ** 2
    half += math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def away(place: Place, region: Region) -> float:
    assert place.lat is not None
    assert place.lon is not None
    return haversine_km(place.lat, place.lon, region.lat, region.lon)


def answered(choice: Choice) -> list[str]:
    ids = [choice.region.id, *(other.id for other in choice.fallbacks)]
    return [*ids, "degraded" if choice.degraded else "available"]
