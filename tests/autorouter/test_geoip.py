import random
import threading
from contextlib import closing
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import geoip2.database
import maxminddb
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
COUNTRY_ONLY = {
    "continent": {"code": "NA", "geoname_id": 6255149},
    "country": {"geoname_id": 6251999, "iso_code": "CA", "names": {"en": "Canada"}},
    "registered_country": {"geoname_id": 6252001, "iso_code": "US"},
}
DBIP_COUNTRY = {
    "continent": {"code": "NA", "geoname_id": 6255149, "names": {"en": "North America"}},
    "country": {"geoname_id": 6251999, "is_in_european_union": False, "iso_code": "CA"},
}
DBIP_CITY = {
    "city": {"names": {"en": "Toronto"}},
    "continent": {"code": "NA", "geoname_id": 6255149, "names": {"en": "North America"}},
    "country": {"geoname_id": 6251999, "is_in_european_union": False, "iso_code": "CA"},
    "location": {"latitude": 43.6532, "longitude": -79.3832},
    "subdivisions": [{"names": {"en": "Ontario"}}],
}
"""Records as the publishers write them; DB-IP's free City file has no code of the subdivision."""


def place_in(file: Path, address: str) -> Place | None:
    with closing(GeoIP.open(file)) as geoip:
        return geoip.place(ip_address(address))


def test_place_is_what_the_record_says(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO})
    assert place_in(file, "8.8.8.8") == Place("CA", "ON", 43.65, -79.38)


@pytest.mark.parametrize(
    ("type_", "record", "expected"),
    [
        ("GeoLite2-City", TORONTO, Place("CA", "ON", 43.65, -79.38)),
        ("GeoIP2-City", TORONTO, Place("CA", "ON", 43.65, -79.38)),
        ("GeoIP2-City-North-America", TORONTO, Place("CA", "ON", 43.65, -79.38)),
        ("GeoIP2-Enterprise", TORONTO, Place("CA", "ON", 43.65, -79.38)),
        ("GeoIP2-Precision-Enterprise", TORONTO, Place("CA", "ON", 43.65, -79.38)),
        ("GeoLite2-Country", COUNTRY_ONLY, Place("CA", None, None, None)),
        ("GeoIP2-Country", COUNTRY_ONLY, Place("CA", None, None, None)),
        ("DBIP-City-Lite", DBIP_CITY, Place("CA", None, 43.6532, -79.3832)),
        ("DBIP-Country-Lite", DBIP_COUNTRY, Place("CA", None, None, None)),
        ("DBIP-Country", DBIP_COUNTRY, Place("CA", None, None, None)),
        ("DBIP-Location (compat=City)", TORONTO, Place("CA", "ON", 43.65, -79.38)),
        ("DBIP-Location-ISP (compat=Enterprise)", TORONTO, Place("CA", "ON", 43.65, -79.38)),
    ],
)
def test_files_of_every_layout_are_read(tmp_path: Path, type_: str, record: object, expected: Place) -> None:
    records = {"8.8.8.0/24": record, "2600::/16": record}
    file = mmdb.write(tmp_path / "test.mmdb", records, database_type=type_)
    assert place_in(file, "8.8.8.8") == expected
    assert place_in(file, "2600::1") == expected


@pytest.mark.parametrize("address", ["64:ff9b::808:808", "2002:808:808::1", "2001:0:4136:e378::f7f7:f7f7"])
def test_ipv4_address_within_an_ipv6_one_is_looked_up_as_such(tmp_path: Path, address: str) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO}, ip_version=4)
    assert place_in(file, address) == Place("CA", "ON", 43.65, -79.38)


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


def test_broken_record_is_no_place_and_one_warning(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": "not a record"})
    with capture_logs() as logs, closing(GeoIP.open(file)) as geoip:
        for _ in range(3):
            assert geoip.place(ip_address("8.8.8.8")) is None
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
        assert geoip.info.age_seconds(10.5) == 3.5
        assert geoip.info.age_seconds(6.0) == 0.0


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
        assert (geoip.replaced, geoip.refused) == (1, 0)


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
        assert (geoip.replaced, geoip.refused) == (0, 1)
        mmdb.write(tmp_path / "good.mmdb", {"9.9.9.0/24": TORONTO}).rename(file)
        assert geoip.refresh()
        assert geoip.replaced == 1
    assert [line["event"] for line in logs] == ["geoip_file_refused", "geoip_file_replaced"]
    assert "is broken" in logs[0]["reason"]


def test_file_that_is_broken_inside_is_refused(tmp_path: Path, geoip_file: Path) -> None:
    """It opens, since what is read then is whole."""
    good = geoip_file.read_bytes()
    middle = len(good) // 2
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(good[:middle] + b"\xff" * (len(good) // 4) + good[middle + len(good) // 4 :])
    maxminddb.open_database(broken).close()
    with pytest.raises(GeoIPError, match=r"broken\.mmdb is broken .*; run `nearedge geoip update`"):
        GeoIP.open(broken)


def test_records_of_another_layout_are_refused(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"0.0.0.0/1": {"country": "CA"}})
    with pytest.raises(GeoIPError, match="is broken"):
        GeoIP.open(file)


def test_copy_goes_on_when_the_file_is_written_over(tmp_path: Path) -> None:
    """What is mapped itself ends the process then: the pages are gone (SIGBUS)."""
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO}, build_epoch=1)
    new = mmdb.write(tmp_path / "new.mmdb", {"9.9.9.0/24": TORONTO}, build_epoch=2).read_bytes()
    with closing(GeoIP.open(file, copy=True)) as geoip:
        file.write_bytes(b"")
        assert not geoip.refresh()
        assert geoip.place(ip_address("8.8.8.8")) is not None
        file.write_bytes(new)
        assert geoip.refresh()
        assert geoip.info.build_epoch == 2
        assert geoip.info.file == "test.mmdb"
        assert geoip.place(ip_address("9.9.9.9")) is not None


def test_look_ups_go_on_while_files_are_swapped(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO})
    done = threading.Event()

    def swap() -> None:
        for build_epoch in range(1, 101):
            mmdb.write(tmp_path / "new.mmdb", {"8.8.8.0/24": TORONTO}, build_epoch=build_epoch).rename(file)
            geoip.refresh()
        done.set()

    with closing(GeoIP.open(file, copy=True)) as geoip:
        thread = threading.Thread(target=swap)
        thread.start()
        looked_up = 0
        while not done.is_set():
            assert geoip.place(ip_address("8.8.8.8")) == Place("CA", "ON", 43.65, -79.38)
            looked_up += 1
        thread.join()
        assert geoip.replaced > 50
    assert looked_up > 100


def test_swapped_files_leave_nothing_open(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": TORONTO})
    descriptors, maps = Path("/proc/self/fd"), Path("/proc/self/maps")
    with closing(GeoIP.open(file, copy=True)) as geoip:
        before = len(list(descriptors.iterdir()))
        for build_epoch in range(1, 11):
            mmdb.write(tmp_path / "new.mmdb", {"8.8.8.0/24": TORONTO}, build_epoch=build_epoch).rename(file)
            assert geoip.refresh()
        assert len(list(descriptors.iterdir())) == before
        assert maps.read_text().count("nearedge-geoip") == 1
    assert maps.read_text().count("nearedge-geoip") == 0


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("content", [b"", b"not a database", bytes(4096), b"\xab\xcd\xefMaxMind.com"])
def test_broken_file_is_refused(tmp_path: Path, content: bytes, copy: bool) -> None:
    file = tmp_path / "broken.mmdb"
    file.write_bytes(content)
    told = r"broken\.mmdb is broken .*; run `nearedge geoip update`"
    with pytest.raises(GeoIPError, match=told) as caught:
        GeoIP.open(file, copy=copy)
    assert "/proc" not in str(caught.value)


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
    file = mmdb.write(tmp_path / "c.mmdb", {"0.0.0.0/1": {"asn": 1}}, database_type="GeoLite2-ASN")
    with pytest.raises(GeoIPError, match="is a GeoLite2-ASN, not a City or Country file"):
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


def test_real_file_is_read_as_its_publisher_reads_it(geoip_file: Path) -> None:
    chance = random.Random(42)
    known = 0
    with closing(GeoIP.open(geoip_file)) as geoip, geoip2.database.Reader(geoip_file) as reader:
        for _ in range(3000):
            address = IPv4Address(chance.getrandbits(32))
            place = geoip.place(address)
            if place is None:
                continue
            known += 1
            told = reader.city(str(address))
            subdivision = told.subdivisions[0].iso_code if told.subdivisions else None
            lat, lon = told.location.latitude, told.location.longitude
            assert place == Place(told.country.iso_code, subdivision, lat, lon), address
    assert known > 2000
