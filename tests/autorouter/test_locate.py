import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.datastructures import Headers

from autorouter.cdns import CDNS
from autorouter.geoip import GeoIP
from autorouter.locate import Locator
from autorouter.location import Location, Source
from autorouter.place import Place
from autorouter.settings import AutorouterSettings
from autorouter.subdivisions import subdivision_middle
from tests.autorouter import mmdb

SECRET = secrets.token_urlsafe()
PROOF = {"X-Origin-Verify": SECRET}
CANADA, BRITAIN = "99.230.0.1", "81.2.69.160"
IN_CANADA = Place("CA", "ON", 43.7, -79.4)
IN_BRITAIN = Place("GB", None, 51.5, -0.1)
VARY = ("CloudFront-Viewer-Country", "CloudFront-Viewer-Country-Region")
VARY_COORDINATES = (*VARY, "CloudFront-Viewer-Latitude", "CloudFront-Viewer-Longitude")

ONTARIO = {"CloudFront-Viewer-Country": "CA", "CloudFront-Viewer-Country-Region": "ON"}
OTTAWA = {"CloudFront-Viewer-Latitude": "45.42", "CloudFront-Viewer-Longitude": "-75.69"}
TORONTO = {"CloudFront-Viewer-Latitude": "43.65", "CloudFront-Viewer-Longitude": "-79.38"}


@pytest.fixture(scope="module")
def geoip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GeoIP]:
    records = {
        "99.230.0.0/16": {
            "country": {"iso_code": "CA"},
            "location": {"latitude": 43.7, "longitude": -79.4},
            "subdivisions": [{"iso_code": "ON"}],
        },
        "81.2.69.0/24": {
            "country": {"iso_code": "GB"},
            "location": {"latitude": 51.5, "longitude": -0.1},
        },
    }
    file = mmdb.write(tmp_path_factory.mktemp("geoip") / "test.mmdb", records)
    with closing(GeoIP.open(file)) as opened:
        yield opened


def locate(geoip: GeoIP, sent: dict[str, str], peer: str | None = BRITAIN, **more: Any) -> Location:
    return Locator.of(AutorouterSettings(**more), geoip).locate(Headers(sent), peer)


def behind(geoip: GeoIP, sent: dict[str, str], peer: str | None = BRITAIN, **more: Any) -> Location:
    """Locate a caller behind CloudFront, whose requests bring the secret."""
    more = {"autorouter_cdn": "cloudfront", "autorouter_cdn_secret": SecretStr(SECRET)} | more
    return locate(geoip, sent, peer, **more)


def middle(country: str, subdivision: str) -> Place:
    found = subdivision_middle(country, subdivision)
    assert found is not None
    return Place(country, subdivision, *found)


def test_socket_tells_by_the_geoip_file(geoip: GeoIP) -> None:
    assert locate(geoip, {}, CANADA) == Location(IN_CANADA, Source.GEOIP)


@pytest.mark.parametrize("peer", [None, "testclient", "127.0.0.1", "9.9.9.9", "fe80::1%eth0"])
def test_nobody_tells_where_others_are(geoip: GeoIP, peer: str | None) -> None:
    assert locate(geoip, {}, peer) == Location(None, Source.NONE)


def test_proxies_tell_whom_they_speak_for(geoip: GeoIP) -> None:
    for sent in ({"X-Forwarded-For": CANADA}, {"Forwarded": f'for="{CANADA}:443";proto=https'}):
        found = locate(geoip, sent, "10.0.0.1", autorouter_trusted_proxies="10.0.0.0/8")
        assert found == Location(IN_CANADA, Source.GEOIP)
        assert locate(geoip, sent, "10.0.0.1") == Location(None, Source.NONE)


def test_province_is_one_place_whatever_else_is_told(geoip: GeoIP) -> None:
    expected = Location(middle("CA", "ON"), Source.CDN, shared=True, vary=VARY)
    for more in (
        {},
        OTTAWA,
        TORONTO,
        {"CloudFront-Viewer-Address": f"{BRITAIN}:1"},
        {"X-Forwarded-For": CANADA},
    ):
        assert behind(geoip, PROOF | ONTARIO | more) == expected


def test_provinces_are_apart(geoip: GeoIP) -> None:
    quebec = ONTARIO | {"CloudFront-Viewer-Country-Region": "QC"}
    assert behind(geoip, PROOF | quebec) == Location(middle("CA", "QC"), Source.CDN, shared=True, vary=VARY)
    assert middle("CA", "QC") != middle("CA", "ON")


@pytest.mark.parametrize(("told", "kept"), [(None, None), ("", None), ("Ontario", None), ("ZZZ", "ZZZ")])
def test_subdivision_without_a_middle_leaves_the_country(
    geoip: GeoIP, told: str | None, kept: str | None
) -> None:
    sent = {"CloudFront-Viewer-Country": "CA"}
    sent |= {"CloudFront-Viewer-Country-Region": told} if told is not None else {}
    place = Place("CA", kept, None, None)
    assert behind(geoip, PROOF | sent | TORONTO) == Location(place, Source.CDN, shared=True, vary=VARY)


@pytest.mark.parametrize("country", ["XX", "T1", "", "canada"])
def test_without_a_country_the_viewers_address_counts_and_nothing_is_shared(
    geoip: GeoIP, country: str
) -> None:
    sent = ONTARIO | {"CloudFront-Viewer-Country": country, "CloudFront-Viewer-Address": f"{CANADA}:46532"}
    assert behind(geoip, PROOF | sent) == Location(IN_CANADA, Source.GEOIP)
    del sent["CloudFront-Viewer-Country"]
    assert behind(geoip, PROOF | sent) == Location(IN_CANADA, Source.GEOIP)
    sent["CloudFront-Viewer-Address"] = "9.9.9.9:46532"
    assert behind(geoip, PROOF | sent) == Location(None, Source.NONE)
    sent["CloudFront-Viewer-Address"] = "unknown"
    assert behind(geoip, PROOF | sent) == Location(None, Source.NONE)


def test_who_came_through_a_network_that_tells_nothing_is_not_where_its_machine_is(geoip: GeoIP) -> None:
    assert behind(geoip, PROOF, BRITAIN) == Location(None, Source.NONE)
    forwarded = PROOF | {"X-Forwarded-For": BRITAIN}
    found = behind(geoip, forwarded, "10.0.0.1", autorouter_trusted_proxies="10.0.0.1")
    assert found == Location(None, Source.NONE)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_who_is_behind_a_proxy_that_says_nothing_usable_is_not_where_the_proxy_is(
    geoip: GeoIP, header: str
) -> None:
    for value in ("", "unknown", CANADA + "x", BRITAIN, f"for={BRITAIN}"):
        found = locate(geoip, {header: value}, BRITAIN, autorouter_trusted_proxies=BRITAIN)
        assert found == Location(None, Source.NONE), value
    assert locate(geoip, {}, BRITAIN, autorouter_trusted_proxies=BRITAIN).place == IN_BRITAIN


class TestCoordinates:
    def behind(self, geoip: GeoIP, sent: dict[str, str]) -> Location:
        return behind(geoip, PROOF | sent, autorouter_cdn_precision="coordinates")

    def test_they_count_where_asked_for(self, geoip: GeoIP) -> None:
        place = Place("CA", "ON", 45.42, -75.69)
        expected = Location(place, Source.CDN, shared=True, vary=VARY_COORDINATES)
        assert self.behind(geoip, ONTARIO | OTTAWA) == expected
        assert self.behind(geoip, ONTARIO | OTTAWA | {"CloudFront-Viewer-Address": "8.8.8.8:1"}) == expected

    def test_else_the_viewers_address_and_nothing_is_shared(self, geoip: GeoIP) -> None:
        address = {"CloudFront-Viewer-Address": f"{CANADA}:1"}
        assert self.behind(geoip, ONTARIO | address) == Location(IN_CANADA, Source.CDN)
        bad = address | OTTAWA | {"CloudFront-Viewer-Latitude": "north"}
        assert self.behind(geoip, ONTARIO | bad) == Location(IN_CANADA, Source.CDN)

    @pytest.mark.parametrize("address", [None, "9.9.9.9:1", f"{BRITAIN}:1", "unknown"])
    def test_else_the_middle_of_the_subdivision(self, geoip: GeoIP, address: str | None) -> None:
        """Also where the file puts the address into another country than the network does."""
        more = {"CloudFront-Viewer-Address": address} if address is not None else {}
        assert self.behind(geoip, ONTARIO | more) == Location(middle("CA", "ON"), Source.CDN)


@pytest.mark.parametrize(
    "sent",
    [ONTARIO, ONTARIO | {"X-Origin-Verify": "guess"}, ONTARIO | {"X-Origin-Verify": ""}, ONTARIO | TORONTO],
)
def test_headers_without_a_proof_count_for_nothing(geoip: GeoIP, sent: dict[str, str]) -> None:
    sent = sent | {"CloudFront-Viewer-Address": f"{CANADA}:1"}
    assert behind(geoip, sent) == Location(IN_BRITAIN, Source.GEOIP)


def test_proof_without_a_network_that_is_named_counts_for_nothing(geoip: GeoIP) -> None:
    assert locate(geoip, PROOF | ONTARIO, autorouter_cdn_secret=SecretStr(SECRET)).source is Source.GEOIP
    found = behind(geoip, PROOF | ONTARIO, autorouter_cdn="cloudflare")
    assert found == Location(None, Source.NONE)


def test_trusted_network_proves_it_too_also_before_a_proxy(geoip: GeoIP) -> None:
    where = {"autorouter_cdn": "cloudfront", "autorouter_cdn_networks": "81.2.69.0/24"}
    expected = Location(middle("CA", "ON"), Source.CDN, shared=True, vary=VARY)
    assert locate(geoip, ONTARIO, BRITAIN, **where) == expected
    assert locate(geoip, ONTARIO, CANADA, **where) == Location(IN_CANADA, Source.GEOIP)
    through = ONTARIO | {"X-Forwarded-For": f"{CANADA}, {BRITAIN}"}
    assert locate(geoip, through, "10.0.0.1", **where) == Location(None, Source.NONE)
    assert locate(geoip, through, "10.0.0.1", autorouter_trusted_proxies="10.0.0.1", **where) == expected
    written = ONTARIO | {"X-Forwarded-For": f"{BRITAIN}, {CANADA}"}
    found = locate(geoip, written, "10.0.0.1", autorouter_trusted_proxies="10.0.0.1", **where)
    assert found == Location(IN_CANADA, Source.GEOIP)


def test_headers_of_two_networks_count_for_nothing(geoip: GeoIP) -> None:
    """One of them passed on what the caller wrote in the other's name."""
    both = "cloudfront,cloudflare"
    sent = PROOF | {"CF-IPCountry": "GB"}
    assert behind(geoip, sent, CANADA, autorouter_cdn=both).vary == ("CF-IPCountry",)
    found = behind(geoip, sent | ONTARIO, CANADA, autorouter_cdn=both)
    assert found == Location(None, Source.NONE)


def test_callers_own_headers_do_not_place_him_where_the_network_passes_them_on(geoip: GeoIP) -> None:
    """Plain Cloudflare tells the country, and leaves the transform's headers as the caller wrote them."""
    sent = PROOF | {"CF-IPCountry": "CA", "CF-Region-Code": "BC", "CF-IPLatitude": "1", "CF-IPLongitude": "1"}
    for precision in ("subdivision", "coordinates"):
        found = behind(geoip, sent, autorouter_cdn="cloudflare", autorouter_cdn_precision=precision)
        assert found.place == Place("CA", None, None, None)
    found = behind(geoip, sent, autorouter_cdn="cloudflare-locations")
    assert found == Location(
        middle("CA", "BC"), Source.CDN, shared=True, vary=("CF-IPCountry", "CF-Region-Code")
    )


values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=12) | st.sampled_from(
    ["CA", "ON", "QC", "45.4", "-75.7", CANADA, f"{CANADA}:1", "XX", SECRET]
)
viewers = {name for cdn in CDNS.values() for name in (*cdn.of_coordinates, cdn.address or cdn.country)}
names = sorted(viewers | {"X-Forwarded-For", "Forwarded"})
anything = st.lists(st.tuples(st.sampled_from(names), values), max_size=10).map(
    lambda pairs: [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
)
precisions = st.sampled_from(["subdivision", "coordinates"])
EVERYTHING: dict[str, Any] = {
    "autorouter_cdn": ",".join(sorted(CDNS.keys() - {"cloudflare"})),
    "autorouter_cdn_secret": SecretStr(SECRET),
    "autorouter_cdn_networks": "192.0.2.0/24",
    "autorouter_trusted_proxies": "10.0.0.0/8",
}


@given(anything, precisions)
def test_whatever_an_untrusted_peer_sends_changes_nothing(
    geoip: GeoIP, sent: list[tuple[bytes, bytes]], precision: str
) -> None:
    configured = AutorouterSettings(**EVERYTHING | {"autorouter_cdn_precision": precision})
    located = Locator.of(configured, geoip).locate(Headers(raw=sent), CANADA)
    assert located == Location(IN_CANADA, Source.GEOIP)


@given(anything, anything, st.sampled_from([*CDNS]), precisions, st.data())
def test_what_is_shared_hangs_on_the_named_headers_alone(
    geoip: GeoIP,
    sent: list[tuple[bytes, bytes]],
    others: list[tuple[bytes, bytes]],
    cdn: str,
    precision: str,
    data: st.DataObject,
) -> None:
    """Whatever agrees on the headers of ``vary`` is at the same place, and may have one answer."""
    configured = AutorouterSettings(
        **EVERYTHING | {"autorouter_cdn": cdn, "autorouter_cdn_precision": precision}
    )
    locator = Locator.of(configured, geoip)
    proof = (b"x-origin-verify", SECRET.encode())
    told = data.draw(st.tuples(*(st.sampled_from(["CA", "ON", "45.4", "x"]) for _ in range(4))))
    usual = zip(CDNS[cdn].of_coordinates, ("CA", *told[1:]), strict=False)
    sent = [(name.lower().encode(), value.encode()) for name, value in usual] + sent
    located = locator.locate(Headers(raw=[proof, *sent]), CANADA)
    assume(located.shared)
    named = {name.lower().encode() for name in located.vary}
    agreeing = [pair for pair in sent if pair[0] in named] + [pair for pair in others if pair[0] not in named]
    assert locator.locate(Headers(raw=[proof, *agreeing]), BRITAIN) == located


def test_country_file_tells_the_country_alone(tmp_path: Path) -> None:
    record = {"country": {"iso_code": "CA"}}
    file = mmdb.write(tmp_path / "c.mmdb", {"99.230.0.0/16": record}, database_type="DBIP-Country-Lite")
    with closing(GeoIP.open(file)) as geoip:
        assert locate(geoip, {}, CANADA) == Location(Place("CA", None, None, None), Source.GEOIP)
