from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from autorouter.geoip import GeoIP, GeoIPError, default_path
from autorouter.place import Place
from autorouter.settings import AutorouterSettings
from tests.autorouter import mmdb

TORONTO = {
    "country": {"iso_code": "CA"},
    "location": {"latitude": 43.65, "longitude": -79.38},
    "subdivisions": [{"iso_code": "ON"}, {"iso_code": "XX"}],
}


def place_in(file: Path, address: str) -> Place | None:
    with closing(GeoIP.open(file)) as geoip:
        return geoip.place(ip_address(address))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (TORONTO, Place("CA", "ON", 43.65, -79.38)),
        ({"country": {"iso_code": "CA"}}, Place("CA", None, None, None)),
        ({"location": {"latitude": 0.0, "longitude": 0.0}}, Place(None, None, 0.0, 0.0)),
        ({"country": {"iso_code": "CA"}, "location": {"latitude": 1.0}}, Place("CA", None, None, None)),
        ({"registered_country": {"iso_code": "CA"}}, None),
        ({}, None),
    ],
)
def test_place_holds_what_the_record_does(tmp_path: Path, record: object, expected: Place | None) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": record})
    assert place_in(file, "8.8.8.8") == expected


def test_address_that_the_file_does_not_hold_has_no_place(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO})
    assert place_in(file, "9.9.9.9") is None


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "127.0.0.1",
        "169.254.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "192.0.2.1",
        "::1",
        "fd00::1",
        "fe80::1",
    ],
)
def test_address_that_is_not_public_has_no_place_even_if_the_file_holds_one(
    tmp_path: Path, address: str
) -> None:
    file = mmdb.write(
        tmp_path / "test.mmdb", {"0.0.0.0/1": TORONTO, "128.0.0.0/1": TORONTO, "8000::/1": TORONTO}
    )
    assert place_in(file, "8.8.8.8") is not None
    assert place_in(file, address) is None


def test_ipv6_address_has_no_place_in_a_file_of_ipv4(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO}, ip_version=4)
    assert place_in(file, "8.8.8.8") is not None
    assert place_in(file, "2001:4860:4860::8888") is None


def test_broken_record_is_no_place_and_a_warning(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": "not a record"})
    with capture_logs() as logs:
        assert place_in(file, "8.8.8.8") is None
    assert [(line["event"], line["log_level"]) for line in logs] == [("geoip_file_is_broken", "warning")]


def test_info_is_what_the_file_says_about_itself(tmp_path: Path) -> None:
    file = mmdb.write(
        tmp_path / "a.mmdb", {"8.8.8.0/24": TORONTO}, database_type="DBIP-City-Lite", build_epoch=7
    )
    with closing(GeoIP.open(file)) as geoip:
        assert (geoip.info.file, geoip.info.database_type, geoip.info.build_epoch) == (
            "a.mmdb",
            "DBIP-City-Lite",
            7,
        )


def test_refresh_goes_on_with_the_file_that_was_put_in_place(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO}, build_epoch=1)
    with closing(GeoIP.open(file)) as geoip:
        assert not geoip.refresh()
        mmdb.write(tmp_path / "new.mmdb", {"9.9.9.0/24": TORONTO}, build_epoch=2).rename(file)
        assert geoip.place(ip_address("8.8.8.8")) is not None
        assert geoip.refresh()
        assert geoip.info.build_epoch == 2
        assert geoip.place(ip_address("8.8.8.8")) is None
        assert geoip.place(ip_address("9.9.9.9")) is not None
        assert not geoip.refresh()


def test_refresh_keeps_the_file_if_the_next_is_broken_or_gone(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO})
    with closing(GeoIP.open(file)) as geoip, capture_logs() as logs:
        (tmp_path / "new.mmdb").write_bytes(b"half a download")
        (tmp_path / "new.mmdb").rename(file)
        assert not geoip.refresh()
        assert not geoip.refresh()
        file.unlink()
        assert not geoip.refresh()
        assert geoip.place(ip_address("8.8.8.8")) is not None
    assert [line["event"] for line in logs] == ["geoip_file_refused"]


@pytest.mark.parametrize("content", [b"", b"not a database", bytes(4096), b"\xab\xcd\xefMaxMind.com"])
def test_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.mmdb"
    file.write_bytes(content)
    with pytest.raises(GeoIPError, match=r"broken\.mmdb is broken .*; run `nearedge geoip update`"):
        GeoIP.open(file)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "half.mmdb", {"8.8.8.0/24": TORONTO})
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(GeoIPError, match="nearedge geoip update"):
        GeoIP.open(file)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeoIPError, match=r"no GeoIP file at .*absent\.mmdb; run `nearedge geoip update`"):
        GeoIP.open(tmp_path / "absent.mmdb")


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeoIPError, match="nearedge geoip update"):
        GeoIP.open(tmp_path)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "c.mmdb", {"8.8.8.0/24": TORONTO}, database_type="GeoLite2-Country")
    with pytest.raises(GeoIPError, match="is a GeoLite2-Country, not a City file"):
        GeoIP.open(file)


def test_default_path_is_in_the_cache_unless_set(tmp_path: Path) -> None:
    assert default_path(AutorouterSettings(cache=tmp_path)) == tmp_path / "geoip" / "GeoLite2-City.mmdb"
    assert default_path(AutorouterSettings(geoip_file=Path("x.mmdb"))) == Path("x.mmdb")


@pytest.mark.parametrize(
    ("address", "country", "subdivision", "lat", "lon"),
    [
        ("99.230.0.1", "CA", "ON", 43.65, -79.36),
        ("128.135.1.1", "US", "IL", 41.78, -87.60),
        ("81.2.69.160", "GB", "ENG", 51.54, -0.17),
        ("2601:600::1", "US", "WA", 47.67, -117.44),
    ],
)
def test_real_file_knows_real_addresses(
    geoip_file: Path, address: str, country: str, subdivision: str, lat: float, lon: float
) -> None:
    place = place_in(geoip_file, address)
    assert place is not None
    assert (place.country, place.subdivision) == (country, subdivision)
    assert [place.lat, place.lon] == pytest.approx([lat, lon], abs=0.01)
