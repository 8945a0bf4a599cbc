import random
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.autorouter.conftest import Start

pytestmark = pytest.mark.anyio

TORONTO, LONDON = "99.230.0.1", "81.2.69.160"


SPOOFS = {
    "X-Forwarded-For": LONDON,
    "X-Real-IP": LONDON,
    "Forwarded": f"for={LONDON}",
    "True-Client-IP": LONDON,
    "X-Origin-Verify": "guess",
    "CF-Connecting-IP": LONDON,
    "CF-IPCountry": "GB",
    "CF-Region-Code": "ENG",
    "X-Vercel-IP-Country": "GB",
    "CDN-RequestCountryCode": "GB",
    "CloudFront-Viewer-Address": f"{LONDON}:443",
    "CloudFront-Viewer-Country": "GB",
    "CloudFront-Viewer-Country-Region": "ENG",
    "CloudFront-Viewer-Latitude": "51.5",
    "CloudFront-Viewer-Longitude": "-0.1",
}


TRUSTING = {
    "autorouter_trusted_proxies": "10.0.0.0/8",
    "autorouter_cdn": "cloudfront,cloudflare,vercel,bunny",
    "autorouter_cdn_secret": "a-secret-of-the-test",
    "autorouter_cdn_networks": "192.0.2.0/24",
}


@pytest.mark.parametrize("precision", ["subdivision", "coordinates"])
async def test_headers_of_an_untrusted_peer_change_nothing(start: Start, precision: str) -> None:
    """Although every kind of them is believed from others."""
    async with (
        start(**TRUSTING, autorouter_cdn_precision=precision) as autorouter,
        autorouter.client(TORONTO) as client,
    ):
        plain = (await client.get("/v1/route")).json()
        for name, value in SPOOFS.items():
            assert (await client.get("/v1/route", headers={name: value})).json() == plain
        assert (await client.get("/v1/route", headers=SPOOFS)).json() == plain


async def test_no_proxy_is_trusted_by_default(start: Start) -> None:
    async with start() as autorouter, autorouter.client("127.0.0.1") as client:
        body = (await client.get("/v1/route", headers={"X-Forwarded-For": LONDON})).json()
    assert body["reason"] == "default"


async def test_trusted_proxies_are_believed_from_the_right(start: Start) -> None:
    chains = (TORONTO, f"{LONDON}, {TORONTO}", f"{LONDON},{TORONTO}:4711, 10.0.0.7", f"x,{TORONTO}")
    several = [("X-Forwarded-For", LONDON), ("X-Forwarded-For", f"{TORONTO}, 10.0.0.7")]
    proxies = "127.0.0.0/8,10.0.0.0/8"
    async with start(autorouter_trusted_proxies=proxies) as autorouter, autorouter.client() as client:
        for chain in chains:
            body = (await client.get("/v1/route", headers={"X-Forwarded-For": chain})).json()
            assert body["region"] == "yto-01", chain
        assert (await client.get("/v1/route", headers=several)).json()["region"] == "yto-01"


async def test_forwarded_is_believed_from_trusted_proxies(start: Start) -> None:
    proxies = "127.0.0.0/8,10.0.0.0/8"
    async with start(autorouter_trusted_proxies=proxies) as autorouter, autorouter.client() as client:
        for chain in (f"for={TORONTO}", f'for={LONDON}, for="{TORONTO}:4711";proto=https, for=10.0.0.7'):
            body = (await client.get("/v1/route", headers={"Forwarded": chain})).json()
            assert body["region"] == "yto-01", chain
            agreeing = {"Forwarded": chain, "X-Forwarded-For": TORONTO}
            assert (await client.get("/v1/route", headers=agreeing)).json() == body
            spoofed = {"Forwarded": chain, "X-Forwarded-For": LONDON}
            assert (await client.get("/v1/route", headers=spoofed)).json()["reason"] == "default"


async def test_viewer_headers_place_a_caller_whose_request_proves_where_it_came_through(start: Start) -> None:
    viewer = {"CloudFront-Viewer-Country": "CA", "CloudFront-Viewer-Country-Region": "BC"}
    proven = viewer | {"X-Origin-Verify": TRUSTING["autorouter_cdn_secret"]}
    async with start(**TRUSTING) as autorouter:
        for peer, headers, region in (
            (LONDON, proven, "yvr-02"),
            ("192.0.2.1", viewer, "yvr-02"),
            (LONDON, viewer, "yul-01"),
            (LONDON, proven | {"CloudFront-Viewer-Country-Region": "QC"}, "yul-01"),
            (LONDON, proven | {"CloudFront-Viewer-Country-Region": "ON"}, "yto-01"),
        ):
            async with autorouter.client(peer) as client:
                body = (await client.get("/v1/route", headers=headers)).json()
            assert body["region"] == region, (peer, headers)


async def test_secret_is_in_no_log(start: Start) -> None:
    secret = TRUSTING["autorouter_cdn_secret"]
    with capture_logs() as logs:
        async with start(**TRUSTING) as autorouter, autorouter.client() as client:
            await client.get("/v1/route", headers={"X-Origin-Verify": secret, "CF-IPCountry": "XX"})
            await client.get("/nowhere", headers={"X-Origin-Verify": secret})
            await client.post("/v1/route", headers={"X-Origin-Verify": secret})
    assert secret not in str(logs)


def malformed(count: int) -> Iterator[bytes]:
    """Yield header values whose last entry is no address; some hold good ones before it."""
    chance = random.Random(20200928)
    fixed = [
        b"",
        b",",
        b" ",
        b"unknown",
        b"1.2.3.4.5",
        b"81.2.69.160,",
        b"-",
        b"[",
        b"[::",
        b"::1%lo",
        b"NaN",
    ]
    yield from fixed
    for _ in range(count - len(fixed)):
        size = chance.choice([1, 3, 10, 100, 4000])
        noise = bytes(chance.choice(range(0x21, 0x100)) for _ in range(size)).replace(b",", b";")
        before = chance.choice([b"", f"{LONDON},".encode(), b"10.0.0.1, ", b",,,"])
        yield before + b"!" + noise


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
async def test_thousand_malformed_forwarding_headers_lead_to_the_default_region(
    start: Start, header: str
) -> None:
    async with (
        start(autorouter_trusted_proxies=TORONTO, default_region="lax-01") as autorouter,
        autorouter.client("127.0.0.1") as nobody,
        autorouter.client(TORONTO) as client,
    ):
        plain = (await nobody.get("/v1/route")).json()
        assert (plain["region"], plain["reason"]) == ("lax-01", "default")
        assert (await client.get("/v1/route")).json()["region"] == "yto-01"
        good = {header: LONDON if header == "x-forwarded-for" else f"for={LONDON}"}
        assert (await client.get("/v1/route", headers=good)).json()["region"] == "yul-01"
        for value in malformed(1000):
            if header == "forwarded":
                value = value.replace(LONDON.encode(), f"for={LONDON}".encode())
            response = await client.get("/v1/route", headers=[(header.encode(), value)])
            assert (response.status_code, response.json()) == (200, plain), value
