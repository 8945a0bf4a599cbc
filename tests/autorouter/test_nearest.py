import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.nearest import FEW, Found, Located, Nearest, Vector, unit_vector
from shared.regions import Region
from tests.autorouter.grids import latitudes, longitudes, region, scattered

seeds = st.integers(0, 2**32)
sizes = st.sampled_from([0, 1, FEW, FEW + 1, 2 * FEW + 1, 100, 300])


def located(regions: list[Region]) -> list[Located]:
    return [(one, unit_vector(one.lat, one.lon)) for one in regions]


def brute_force(here: Vector, wanted: int, among: list[Located]) -> list[Found]:
    return sorted((math.dist(here, vector), one.id, one) for one, vector in among)[:wanted]


def test_unit_vectors_point_where_they_should() -> None:
    assert unit_vector(0, 0) == pytest.approx((1, 0, 0))
    assert unit_vector(0, 90) == pytest.approx((0, 1, 0))
    assert unit_vector(-90, 17) == pytest.approx((0, 0, -1))


@given(sizes, seeds, latitudes, longitudes, st.integers(1, 5))
def test_it_finds_what_brute_force_finds(size: int, seed: int, lat: float, lon: float, wanted: int) -> None:
    regions = located(scattered(size, random.Random(seed)))
    here = unit_vector(lat, lon)
    found = Nearest(regions).find(here, wanted, lambda _: True, regions)
    assert found == brute_force(here, wanted, regions)


@given(sizes, seeds, st.floats(0, 1), st.integers(1, 5))
def test_it_finds_only_what_is_acceptable(size: int, seed: int, share: float, wanted: int) -> None:
    chance = random.Random(seed)
    regions = located(scattered(size, chance))
    acceptable = [one for one in regions if chance.random() < share]
    ids = {one.id for one, _ in acceptable}
    for one, here in regions[:20]:
        found = Nearest(regions).find(here, wanted, lambda other: other.id in ids, acceptable)
        assert found == brute_force(here, wanted, acceptable), one.id


def test_those_in_one_place_go_by_their_ids() -> None:
    regions = located([region(f"r-{number:03}", "CA", 43.65, -79.38) for number in range(99, -1, -1)])
    found = Nearest(regions).find(unit_vector(43.7, -79.4), 3, lambda _: True, regions)
    assert [id_ for _, id_, _ in found] == ["r-000", "r-001", "r-002"]


def test_equally_near_ones_in_different_places_go_by_their_ids() -> None:
    regions = located([region(f"r-{9 - n}", "CA", lat, 0) for n, lat in enumerate((60, -60))])
    regions += located([region(f"s-{9 - n}", "CA", 0, lon) for n, lon in enumerate((60, -60))])
    regions += located([region(f"a-{number:02}", "CA", number / 10, 180) for number in range(4 * FEW)])
    here = (1.0, 0.0, 0.0)
    assert Nearest(regions).find(here, 3, lambda _: True, regions) == brute_force(here, 3, regions)


def test_what_is_behind_a_plane_just_as_far_away_is_looked_at() -> None:
    twins = [("b", (0.8, 0.4, -0.4)), ("a", (0.8, -0.4, 0.4))]
    rest = [(f"z-{n:02}", (-0.8, n / 10 if n > 0 else n / 10 - 0.4, 0.0)) for n in range(-FEW, FEW + 1) if n]
    regions = [(region(id_, "CA", 0, 0), vector) for id_, vector in twins + rest]
    assert len(regions) > 2 * FEW
    found = Nearest(regions).find((0.8, 0.4, 0.4), 1, lambda _: True, regions)
    assert [id_ for _, id_, _ in found] == ["a"]


def test_a_search_looks_at_few_of_ten_thousand() -> None:
    """What makes the cost among 10,000 regions that among 10: counted, since a clock would be unsteady."""
    regions = located(scattered(10_000, random.Random(1)))
    tree = Nearest(regions)
    asked: list[Region] = []

    def acceptable(one: Region) -> bool:
        asked.append(one)
        return True

    chance = random.Random(2)
    for _ in range(200):
        here = unit_vector(chance.uniform(-90, 90), chance.uniform(-180, 180))
        tree.find(here, 3, acceptable, regions)
    assert len(asked) / 200 < 5 * FEW


def test_where_few_are_acceptable_only_they_are_looked_at() -> None:
    regions = located(scattered(10_000, random.Random(1)))
    asked: list[Region] = []

    def acceptable(one: Region) -> bool:
        asked.append(one)
        return True

    Nearest(regions).find(unit_vector(0, 0), 3, acceptable, regions[:50])
    assert len(asked) == 50
