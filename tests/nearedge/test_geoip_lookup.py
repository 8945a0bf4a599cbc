from pathlib import Path

import pytest
from typer.testing import CliRunner

from nearedge.cli import app
from tests.autorouter import mmdb


def lookup(address: str, **settings: str) -> tuple[int, str, str]:
    env = {f"NEAREDGE_{name.upper()}": value for name, value in settings.items()}
    result = CliRunner().invoke(app, ["geoip", "lookup", address], env=env)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def geoip_file(tmp_path: Path) -> str:
    records = {
        "99.230.0.0/16": {
            "country": {"iso_code": "CA"},
            "location": {"latitude": 43.7, "longitude": -79.4},
            "subdivisions": [{"iso_code": "ON"}],
        },
        "81.2.69.0/24": {"country": {"iso_code": "GB"}},
    }
    return str(mmdb.write(tmp_path / "test.mmdb", records))


def test_place_is_shown(geoip_file: str) -> None:
    code, out, err = lookup("99.230.0.1", geoip_file=geoip_file)
    assert (code, err) == (0, "")
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        ["address", "99.230.0.1"],
        ["country", "CA"],
        ["subdivision", "ON"],
        ["coordinates", "43.7, -79.4"],
        ["region", "see `nearedge route explain 99.230.0.1`"],
    ]


def test_ipv4_address_within_an_ipv6_one_is_looked_up(geoip_file: str) -> None:
    code, out, _ = lookup("64:ff9b::99.230.0.1", geoip_file=geoip_file)
    assert (code, out.splitlines()[0].split()) == (0, ["address", "99.230.0.1"])


def test_what_the_file_does_not_hold_is_unknown(geoip_file: str) -> None:
    code, out, _ = lookup("81.2.69.160", geoip_file=geoip_file)
    assert code == 0
    assert out.splitlines()[2:4] == ["subdivision  unknown", "coordinates  unknown"]


@pytest.mark.parametrize("address", ["nonsense", "1.2.3", "", "8.8.8.8/32", "example.org"])
def test_what_is_no_address_is_refused(geoip_file: str, address: str) -> None:
    code, out, err = lookup(address, geoip_file=geoip_file)
    assert (code, out) == (2, "")
    assert "is not an IP address" in err


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "::ffff:192.168.0.1"])
def test_address_that_is_not_public_is_refused(geoip_file: str, address: str) -> None:
    code, out, err = lookup(address, geoip_file=geoip_file)
    assert (code, out) == (1, "")
    assert "is not a public address" in err


def test_unknown_address_is_told(geoip_file: str) -> None:
    code, out, err = lookup("9.9.9.9", geoip_file=geoip_file)
    assert (code, out) == (1, "")
    assert "test.mmdb does not know 9.9.9.9" in " ".join(err.split())


def test_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    code, out, err = lookup("8.8.8.8", cache=str(tmp_path))
    assert (code, out) == (1, "")
    assert "run `nearedge geoip update`" in err
