import math
import random
import re
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import maxminddb
import pytest

from autorouter.subdivisions import country_middle, middles, subdivision_middle
from shared.countries import COUNTRY_CODES

READ = """
import time
from autorouter.subdivisions import middles

assert middles.cache_info().currsize == 0
took = []
for _ in range(5):
    middles.cache_clear()
    started = time.process_time()
    middles()
    took.append(time.process_time() - started)
print(min(took))
"""

UNINHABITED = {"AQ", "BV", "HM", "UM"}


def km(a: tuple[float, float], b: tuple[float, float]) -> float:
    phi_a, phi_b = math.radians(a[0]), math.radians(b[0])
    half = math.sin((phi_b - phi_a) / 2) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(half))


@pytest.mark.parametrize(
    ("country", "subdivision", "city", "within_km"),
    [
        ("CA", "ON", (43.65, -79.38), 100),
        ("CA", "QC", (45.50, -73.57), 150),
        ("CA", "BC", (49.28, -123.12), 150),
        ("US", "NY", (40.71, -74.01), 100),
        ("US", "TX", (32.78, -96.80), 300),
        ("US", "WA", (47.61, -122.33), 150),
        ("US", "HI", (21.31, -157.86), 50),
        ("GB", "ENG", (52.5, -1.3), 100),
        ("GB", "SCT", (55.95, -3.19), 100),
        ("DE", "BY", (48.14, 11.58), 150),
        ("FR", "IDF", (48.86, 2.35), 50),
        ("JP", "13", (35.68, 139.69), 50),
        ("AU", "NSW", (-33.87, 151.21), 150),
        ("BR", "SP", (-23.55, -46.63), 250),
    ],
)
def test_middle_is_where_people_live(
    country: str, subdivision: str, city: tuple[float, float], within_km: float
) -> None:
    middle = subdivision_middle(country, subdivision)
    assert middle is not None
    assert km(middle, city) < within_km


def test_every_country_where_people_live_has_a_middle() -> None:
    assert {country for country in COUNTRY_CODES if country_middle(country) is None} == UNINHABITED
    netherlands = country_middle("NL")
    assert netherlands is not None
    assert km(netherlands, (52.1, 5.2)) < 50


def test_what_is_unknown_has_none() -> None:
    assert country_middle("ZZ") is None
    assert subdivision_middle("CA", "ZZZ") is None
    assert subdivision_middle("ZZ", "ON") is None


def test_table_is_sound() -> None:
    table = middles()
    assert len(table) > 5000
    assert list(table) == sorted(table)
    for code, (lat, lon) in table.items():
        country, _, subdivision = code.partition("-")
        assert country in COUNTRY_CODES
        assert re.fullmatch(r"[A-Z0-9]{0,3}", subdivision), code
        assert -90 <= lat <= 90
        assert -180 <= lon <= 180


def test_most_callers_are_near_the_middle_of_their_subdivision(geoip_file: Path) -> None:
    """The GeoIP file had no part in the table, so it can judge it."""
    chance = random.Random(7)
    away: list[float] = []
    with maxminddb.open_database(geoip_file) as reader:
        while len(away) < 2000:
            record: Any = reader.get(IPv4Address(chance.getrandbits(32))) or {}
            if {"country", "location", "subdivisions"} <= record.keys():
                code = record["subdivisions"][0].get("iso_code", "")
                middle = subdivision_middle(record["country"]["iso_code"], code)
                if middle is not None:
                    away.append(km(middle, (record["location"]["latitude"], record["location"]["longitude"])))
    away.sort()
    assert away[len(away) // 2] < 60
    assert away[len(away) * 9 // 10] < 250


def test_table_is_read_at_once_and_only_when_wanted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) < 0.015
