import random
from itertools import islice
from pathlib import Path

import maxminddb
import pytest

from benchmarks.autorouter.addresses import is_checkable, random_callers
from tests.autorouter import mmdb


def test_callers_are_public_of_both_kinds_and_half_of_the_ipv6_ones_known(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"2a00::/14": {"country": {"iso_code": "GB"}}})
    with maxminddb.open_database(file) as reader:
        drawn = list(islice(random_callers(reader, random.Random(1)), 2000))
        again = list(islice(random_callers(reader, random.Random(1)), 2000))
        v6 = [address for address in drawn if address.version == 6]
        known = [address for address in v6 if reader.get(address) is not None]
    assert drawn == again
    assert all(address.is_global and not address.is_multicast for address in drawn)
    assert 0.45 < len(v6) / len(drawn) < 0.55
    assert 0.45 < len(known) / len(v6) < 0.6


def test_a_file_without_ipv6_gets_no_such_callers(tmp_path: Path) -> None:
    with maxminddb.open_database(mmdb.write(tmp_path / "4.mmdb", {"8.0.0.0/8": {}}, ip_version=4)) as reader:
        assert {address.version for address in islice(random_callers(reader, random.Random(1)), 100)} == {4}


@pytest.mark.parametrize(
    ("record", "checkable"),
    [
        (None, True),
        ({}, True),
        ({"location": {"latitude": 1.0, "longitude": 1.0}}, True),
        ({"country": {"iso_code": "CA"}, "location": {"latitude": 1.0, "longitude": 1.0}}, True),
        ({"country": {"iso_code": "CA"}}, False),
        ({"country": {"iso_code": "CA"}, "location": {"time_zone": "America/Toronto"}}, False),
    ],
)
def test_a_country_without_coordinates_cannot_be_checked(record: object, checkable: bool) -> None:
    assert is_checkable(record) is checkable
