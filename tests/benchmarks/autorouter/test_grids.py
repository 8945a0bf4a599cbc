import random
from itertools import repeat
from pathlib import Path

import pytest

from autorouter.place import Place
from benchmarks.autorouter.grids import random_regions, scattered, write
from benchmarks.processes import BenchmarkError
from shared import regions

PLACES = [
    Place("CA", "ON", 43.7, -79.4),
    Place(None, None, 10.0, 10.0),
    Place("GB", None, None, None),
    Place("CA", "ON", 43.7, -79.4),
    Place("FR", None, 48.9, 2.3),
    Place("US", "NY", 40.7, -74.0),
]


def test_regions_are_in_different_cities_and_make_a_file_that_the_autorouter_reads(tmp_path: Path) -> None:
    made = random_regions(PLACES, 3)
    assert [(region.id, region.country, region.lat) for region in made] == [
        ("r00000", "CA", 43.7),
        ("r00001", "FR", 48.9),
        ("r00002", "US", 40.7),
    ]
    assert regions.load(write(made, tmp_path / "regions.yaml")) == made


def test_a_file_with_too_few_cities_is_told() -> None:
    with pytest.raises(BenchmarkError, match="names only 3 cities; 4 are needed"):
        random_regions(PLACES, 4)
    with pytest.raises(BenchmarkError, match="names only 1 cities"):
        random_regions(repeat(PLACES[0]), 2)


def test_a_scattered_place_is_near_and_on_the_globe() -> None:
    source = random.Random(1)
    for place in (PLACES[0], Place("NZ", None, -90.0, 180.0)):
        for _ in range(50):
            moved = scattered(place, source)
            assert (moved.country, moved.subdivision) == (place.country, place.subdivision)
            assert moved.lat is not None
            assert moved.lon is not None
            assert moved.lat != place.lat or abs(place.lat or 0) == 90
            assert abs(moved.lat - (place.lat or 0)) <= 0.1
            assert -90 <= moved.lat <= 90
            assert -180 <= moved.lon <= 180
    assert scattered(PLACES[2], source) == PLACES[2]
