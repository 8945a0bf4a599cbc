from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from autorouter.cdns import CDNS
from autorouter.viewer_headers import Viewer, read_viewer
from shared.countries import COUNTRY_CODES

NOTHING = Viewer(None, None, None, None)


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])


@pytest.mark.parametrize(
    ("cdn", "sent", "expected"),
    [
        (
            "cloudfront",
            {
                "CloudFront-Viewer-Country": "CA",
                "CloudFront-Viewer-Country-Region": "ON",
                "CloudFront-Viewer-Latitude": "43.65310",
                "CloudFront-Viewer-Longitude": "-79.38320",
                "CloudFront-Viewer-Address": "99.230.0.1:46532",
            },
            Viewer("CA", "ON", (43.6531, -79.3832), ip_address("99.230.0.1")),
        ),
        (
            "cloudflare",
            {"CF-IPCountry": "US", "CF-Connecting-IP": "2001:db8::1"},
            Viewer("US", None, None, ip_address("2001:db8::1")),
        ),
        (
            "cloudflare-locations",
            {
                "CF-IPCountry": "US",
                "cf-region-code": "TX",
                "cf-iplatitude": "30.27130",
                "cf-iplongitude": "-97.74260",
                "CF-Connecting-IP": "2001:db8::1",
            },
            Viewer("US", "TX", (30.2713, -97.7426), ip_address("2001:db8::1")),
        ),
        (
            "vercel",
            {
                "x-vercel-ip-country": "GB",
                "x-vercel-ip-country-region": "ENG",
                "x-vercel-ip-latitude": "51.5",
                "x-vercel-ip-longitude": "-0.1",
                "x-real-ip": "81.2.69.160",
            },
            Viewer("GB", "ENG", (51.5, -0.1), ip_address("81.2.69.160")),
        ),
        (
            "bunny",
            {"CDN-RequestCountryCode": "US", "CDN-RequestStateCode": "CA", "X-Real-IP": "8.8.8.8"},
            Viewer("US", "CA", None, ip_address("8.8.8.8")),
        ),
    ],
)
def test_headers_of_every_network_are_read(cdn: str, sent: dict[str, str], expected: Viewer) -> None:
    assert read_viewer(headers(*sent.items()), CDNS[cdn]) == expected
    assert {name.lower() for name in sent} >= {name.lower() for name in CDNS[cdn].of_coordinates}


@pytest.mark.parametrize("cdn", CDNS)
def test_what_is_absent_is_unknown(cdn: str) -> None:
    assert read_viewer(headers(), CDNS[cdn]) == NOTHING


@pytest.mark.parametrize(
    "country", ["XX", "T1", "ZZ", "", "C", "CAN", "canada", "CA,US", "C A", "\xdf", "EU"]
)
def test_country_that_is_none_is_unknown(country: str) -> None:
    assert read_viewer(headers(("CF-IPCountry", country)), CDNS["cloudflare"]).country is None


@pytest.mark.parametrize("subdivision", ["", "Ontario", "O N", "CA-ON", "\xdf", "O-N", "--"])
def test_subdivision_that_is_none_is_unknown(subdivision: str) -> None:
    sent = headers(("CF-IPCountry", "CA"), ("CF-Region-Code", subdivision))
    viewer = read_viewer(sent, CDNS["cloudflare-locations"])
    assert (viewer.country, viewer.subdivision) == ("CA", None)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        ("91", "0"),
        ("0", "180.1"),
        ("nan", "0"),
        ("inf", "0"),
        ("1e1", "0"),
        ("", "0"),
        ("0", ""),
        ("0x1", "0"),
        ("1_0", "0"),
        ("1.", "0"),
        ("43,6", "0"),
        ("\u00b2", "0"),
        ("--1", "0"),
        ("1" * 400, "0"),
        ("0." + "1" * 400, "0"),
    ],
)
def test_coordinates_that_are_nowhere_are_unknown(lat: str, lon: str) -> None:
    given = headers(("CloudFront-Viewer-Latitude", lat), ("CloudFront-Viewer-Longitude", lon))
    assert read_viewer(given, CDNS["cloudfront"]).coordinates is None


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("198.51.100.10:46532", "198.51.100.10"),
        ("2001:db8:85a3:1:2:8a2e:370:7334:443", "2001:db8:85a3:1:2:8a2e:370:7334"),
        ("2001:db8::1:443", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("198.51.100.10", None),
        ("", None),
        (":443", None),
        ("unknown:1", None),
    ],
)
def test_cloudfront_writes_a_port_after_the_address(value: str, address: str | None) -> None:
    found = read_viewer(headers(("CloudFront-Viewer-Address", value)), CDNS["cloudfront"]).address
    assert found == (ip_address(address) if address is not None else None)


def test_header_that_comes_twice_is_unknown() -> None:
    """One of them may be the caller's own."""
    twice = headers(("CF-IPCountry", "CA"), ("CF-IPCountry", "CA"), ("CF-Region-Code", "ON"))
    assert read_viewer(twice, CDNS["cloudflare-locations"]) == Viewer(None, "ON", None, None)


anything = st.text(st.characters(max_codepoint=0xFF), max_size=20) | st.sampled_from(
    ["CA", "ON", "43.6", "-79"]
)


@given(st.sampled_from(sorted(CDNS)), st.data())
def test_whatever_is_sent_is_sound_or_unknown(cdn: str, data: st.DataObject) -> None:
    names = CDNS[cdn]
    sent = [(name, data.draw(anything)) for name in (*names.of_coordinates, names.address or names.country)]
    viewer = read_viewer(headers(*sent), names)
    assert viewer.country is None or viewer.country in COUNTRY_CODES
    assert viewer.subdivision is None or (viewer.subdivision.isascii() and len(viewer.subdivision) <= 3)
    if viewer.coordinates is not None:
        lat, lon = viewer.coordinates
        assert -90 <= lat <= 90
        assert -180 <= lon <= 180
