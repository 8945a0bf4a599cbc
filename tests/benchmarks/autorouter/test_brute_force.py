import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import maxminddb
import pytest

from benchmarks.autorouter.brute_force import BruteForce, Expected
from tests.autorouter import mmdb

CITIES = [
    ("yto-01", "CA", 43.65, -79.38, True),
    ("yto-00", "CA", 43.65, -79.38, True),
    ("hidden", "CA", 43.66, -79.38, False),
    ("yvr-01", "CA", 49.28, -123.12, True),
    ("nyc-01", "US", 40.71, -74.01, True),
    ("buf-01", "US", 42.89, -78.88, True),
]


@pytest.fixture
def brute_force(tmp_path: Path) -> Iterator[BruteForce]:
    regions = [
        {"id": name, "country": country, "lat": lat, "lon": lon, "discoverable": shown}
        for name, country, lat, lon, shown in CITIES
    ]
    file = tmp_path / "regions.yaml"
    file.write_text(json.dumps({"regions": regions}))
    records = {
        "99.230.0.0/16": {"country": {"iso_code": "CA"}, "location": {"latitude": 43.1, "longitude": -79.2}},
        "81.2.69.0/24": {"country": {"iso_code": "GB"}, "location": {"latitude": 51.5, "longitude": -0.1}},
        "8.8.8.0/24": {"location": {"latitude": 49.0, "longitude": -123.0}},
    }
    with maxminddb.open_database(mmdb.write(tmp_path / "test.mmdb", records)) as reader:
        yield BruteForce(file, reader)


@pytest.mark.parametrize(
    ("address", "scope", "regions", "country", "km", "reason"),
    [
        ("99.230.0.1", "country", ("yto-00", "yto-01", "yvr-01"), "CA", 62.9, "country"),
        ("99.230.0.1", "global", ("buf-01", "yto-00", "yto-01"), "CA", 35.1, "nearest"),
        ("81.2.69.160", "country", ("nyc-01", "yto-00", "yto-01"), "GB", 5567.0, "nearest"),
        ("8.8.8.8", "country", ("yvr-01", "yto-00", "yto-01"), None, 32.3, "nearest"),
        ("9.9.9.9", "country", ("yto-01", "yto-00", "buf-01"), None, None, "default"),
        ("9.9.9.9", "global", ("yto-01", "yto-00", "buf-01"), None, None, "default"),
    ],
)
def test_every_region_is_measured(
    brute_force: BruteForce,
    address: str,
    scope: str,
    regions: tuple[str, ...],
    country: str | None,
    km: float | None,
    reason: str,
) -> None:
    found = brute_force.expected(ip_address(address), scope)
    assert (found.regions, found.country, found.reason) == (regions, country, reason)
    assert found.distance_km == (None if km is None else pytest.approx(km, rel=0.01))


EXPECTED = Expected(("a", "b", "c"), "CA", 12.34, "country")
ANSWER: dict[str, Any] = {
    "region": "a",
    "country": "CA",
    "distance_km": 12.3,
    "reason": "country",
    "fallbacks": [{"region": "b"}, {"region": "c"}],
}


def test_an_answer_that_agrees_is_right() -> None:
    assert EXPECTED.differs(ANSWER) is None
    nowhere = ANSWER | {"country": None, "distance_km": None, "reason": "default"}
    assert Expected(("a", "b", "c"), None, None, "default").differs(nowhere) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": "b"},
        {"fallbacks": [{"region": "c"}, {"region": "b"}]},
        {"fallbacks": [{"region": "b"}]},
        {"country": "US"},
        {"reason": "nearest"},
        {"distance_km": 12.6},
        {"distance_km": None},
    ],
)
def test_an_answer_that_differs_in_anything_is_wrong(wrong: dict[str, Any]) -> None:
    assert EXPECTED.differs(ANSWER | wrong)
