import math
import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import maxminddb
import msgpack
import pytest
import yaml
from starlette.datastructures import Headers

from autorouter.grid import Grid
from autorouter.location import Location, Source
from autorouter.place import Place
from shared.regions import default_path
from tests.autorouter.conftest import Start

pytestmark = pytest.mark.anyio

TORONTO, LONDON = "99.230.0.1", "81.2.69.160"


async def test_answer_has_every_field(start: Start) -> None:
    async with start(route_ttl_seconds=120) as autorouter, autorouter.client(TORONTO) as client:
        response = await client.get("/v1/route")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "private, max-age=120"
    assert response.headers.get_list("vary") == ["Accept"]
    assert response.json() == {
        "region": "yto-01",
        "name": "Toronto",
        "endpoint": "https://api.yto-01.edge.polargrid.ai",
        "ttl": 120,
        "country": "CA",
        "distance_km": 1.5,
        "reason": "country",
        "degraded": False,
        "fallbacks": [
            {
                "region": "yto-02",
                "name": "Toronto 02",
                "endpoint": "https://api.yto-02.edge.polargrid.ai",
            },
            {"region": "yul-01", "name": "Montreal", "endpoint": "https://api.yul-01.edge.polargrid.ai"},
        ],
    }


@pytest.mark.parametrize(
    ("city", "address", "region", "reason"),
    [
        ("Toronto", TORONTO, "yto-01", "country"),
        ("Montreal", "24.48.0.1", "yul-01", "country"),
        ("Vancouver", "24.80.0.1", "yvr-02", "country"),
        ("Winnipeg, nearer to Chicago", "24.78.1.1", "yto-01", "country"),
        ("New York", "66.108.0.1", "nyc-01", "country"),
        ("Rochester, nearer to Toronto", "66.66.1.1", "nyc-01", "country"),
        ("Washington", "128.164.1.1", "was-01", "country"),
        ("Miami", "129.171.1.1", "mia-01", "country"),
        ("Chicago", "128.135.1.1", "chi-01", "country"),
        ("Dallas", "129.119.1.1", "dal-01", "country"),
        ("Phoenix", "129.219.1.1", "phx-01", "country"),
        ("Los Angeles", "131.215.1.1", "lax-01", "country"),
        ("San Francisco", "67.160.200.1", "sfo-01", "country"),
        ("Seattle", "128.95.1.1", "sea-01", "country"),
        ("Seattle, by IPv6", "2601:600::1", "sea-01", "country"),
        ("London", LONDON, "yul-01", "nearest"),
        ("Tokyo", "133.11.0.1", "yvr-02", "nearest"),
        ("São Paulo", "200.144.1.1", "mia-01", "nearest"),
        ("Seattle, as a mapped address", "::ffff:128.95.1.1", "sea-01", "country"),
    ],
)
async def test_cities_get_their_region(
    start: Start, city: str, address: str, region: str, reason: str
) -> None:
    async with start() as autorouter, autorouter.client(address) as client:
        body = (await client.get("/v1/route")).json()
    assert (body["region"], body["reason"]) == (region, reason), city


@pytest.mark.parametrize(("address", "region"), [("24.78.1.1", "chi-01"), ("66.66.1.1", "yto-01")])
@pytest.mark.parametrize("scope", ["global", "%20GLOBAL%20"])
async def test_global_scope_crosses_the_border(start: Start, address: str, region: str, scope: str) -> None:
    async with start() as autorouter, autorouter.client(address) as client:
        body = (await client.get(f"/v1/route?scope={scope}")).json()
    assert (body["region"], body["reason"]) == (region, "nearest")


@pytest.mark.parametrize(
    "query",
    [
        "scope=",
        "scope=planet",
        "scope=%FF",
        "scope",
        "model=no/such:model",
        "model=&x=1&x=2",
        "region=",
        "region=%20&model=%20",
        "&&=&",
    ],
)
async def test_other_queries_mean_the_default(start: Start, query: str) -> None:
    async with start() as autorouter, autorouter.client("24.78.1.1") as client:
        assert (await client.get(f"/v1/route?{query}")).json() == (await client.get("/v1/route")).json()


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fe80::1%eth0", "203.0.113.9"]
)
async def test_caller_from_nowhere_gets_the_default(start: Start, address: str) -> None:
    async with start(default_region="dal-02") as autorouter, autorouter.client(address) as client:
        body = (await client.get("/v1/route")).json()
    assert (body["region"], body["reason"]) == ("dal-02", "default")
    assert (body["country"], body["distance_km"], body["ttl"]) == (None, None, 30)
    assert [other["region"] for other in body["fallbacks"]] == ["dal-01", "chi-01"]


@pytest.mark.parametrize(
    "query", ["region=lax-01", "region=%20LAX-01", "model=lax-01/llm", "model=LAX-01%2Fllm"]
)
async def test_region_that_the_caller_names_is_the_answer(start: Start, query: str) -> None:
    async with start() as autorouter, autorouter.client(TORONTO) as client:
        body = (await client.get(f"/v1/route?{query}")).json()
    assert (body["region"], body["reason"], body["fallbacks"]) == ("lax-01", "named", [])
    assert (body["country"], body["degraded"]) == ("CA", False)
    assert body["distance_km"] == pytest.approx(3500, abs=50)


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("region=nowhere-99", "region", "region_not_found"),
        ("region=%FF%00", "region", "region_not_found"),
        ("region=yto-01&model=lax-01/llm", "model", "model_not_found"),
    ],
)
async def test_what_is_not_there_is_not_found(start: Start, query: str, param: str, code: str) -> None:
    async with start() as autorouter, autorouter.client(TORONTO) as client:
        response = await client.get(f"/v1/route?{query}")
    assert response.status_code == 404
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["error"] == {
        "message": body["detail"],
        "type": "not_found_error",
        "param": param,
        "code": code,
    }


@pytest.mark.parametrize("path", ["/v1/route", "//v1/route", "/v1/route/", "//v1///route//"])
async def test_path_may_have_slashes_too_many(start: Start, path: str) -> None:
    async with start() as autorouter, autorouter.client(TORONTO) as client:
        response = await client.get(f"http://autorouter{path}")
    assert (response.status_code, response.json()["region"]) == (200, "yto-01")


async def test_head_has_the_headers_of_get(start: Start) -> None:
    async with start() as autorouter, autorouter.client(TORONTO) as client:
        head, get = await client.head("/v1/route"), await client.get("/v1/route")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-length", "cache-control", "etag", "vary"):
        assert head.headers[name] == get.headers[name]


async def test_msgpack_for_who_asks_for_it(start: Start) -> None:
    async with start() as autorouter, autorouter.client(TORONTO) as client:
        plain = await client.get("/v1/route")
        packed = await client.get("/v1/route", headers={"Accept": "application/msgpack"})
        both = [("Accept", "text/html"), ("Accept", "application/x-msgpack")]
        of_two_headers = await client.get("/v1/route", headers=both)
    assert packed.headers["content-type"] == "application/msgpack"
    assert msgpack.unpackb(packed.content) == plain.json()
    assert of_two_headers.content == packed.content
    assert packed.headers["vary"] == "Accept"
    assert packed.headers["etag"] != plain.headers["etag"]


async def test_errors_are_json_whatever_is_asked_for(start: Start) -> None:
    async with start() as autorouter, autorouter.client() as client:
        response = await client.get("/nowhere", headers={"Accept": "application/msgpack"})
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_the_answer_is_told_that_it_holds(start: Start, method: str) -> None:
    async with start() as autorouter, autorouter.client(TORONTO) as client:
        first = await client.get("/v1/route")
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = await client.request(method, "/v1/route", headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            for name in ("cache-control", "etag", "vary"):
                assert again.headers[name] == first.headers[name]
            assert "content-type" not in again.headers
            assert "content-length" not in again.headers
        for other in ('"x"', tag.strip('"'), "W/*", ""):
            assert (await client.get("/v1/route", headers={"If-None-Match": other})).status_code == 200
        packed = {"If-None-Match": tag, "Accept": "application/msgpack"}
        assert (await client.get("/v1/route", headers=packed)).status_code == 200


async def test_answer_changes_with_the_grid(start: Start) -> None:
    async with start() as autorouter, autorouter.client(TORONTO) as client:
        before = await client.get("/v1/route")
        state = autorouter.app.state
        only = [region for region, _ in state.grid.candidates if region.id == "sea-01"]
        state.grid = Grid.of(only, None)
        after = await client.get("/v1/route", headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, after.json()["region"]) == (200, "sea-01")


class SharedLocator:
    """Finds everybody in one province, as a CDN's headers would tell."""

    def locate(self, headers: Headers, peer: str | None) -> Location:
        place = Place(headers["cloudfront-viewer-country"], "ON", 50.0, -85.0)
        return Location(place, Source.CDN, shared=True, vary=("CloudFront-Viewer-Country",))


async def test_answer_that_headers_decide_may_be_shared(start: Start) -> None:
    async with start(route_shared_seconds=7) as autorouter, autorouter.client() as client:
        autorouter.app.state.locator = SharedLocator()
        viewer = {"CloudFront-Viewer-Country": "CA"}
        response = await client.get("/v1/route", headers=viewer)
        tag = response.headers["etag"]
        unchanged = await client.get("/v1/route", headers=viewer | {"If-None-Match": tag})
    expected = "public, max-age=300, s-maxage=7, stale-while-revalidate=15, stale-if-error=86400"
    for answer in (response, unchanged):
        assert answer.headers["cache-control"] == expected
        assert answer.headers["vary"] == "Accept, CloudFront-Viewer-Country"
    assert unchanged.status_code == 304


def public_addresses(count: int) -> Iterator[str]:
    chance = random.Random(1600806056)
    blocks = [0x2001, 0x2400, 0x2600, 0x2601, 0x2607, 0x2804, 0x2A00, 0x2A02, 0x2C0F]
    while count:
        if chance.random() < 0.8:
            address: IPv4Address | IPv6Address = IPv4Address(chance.getrandbits(32))
        else:
            block = chance.choice(blocks) << 112
            address = IPv6Address(block | chance.getrandbits(16) << 96 | chance.getrandbits(96))
        if address.is_global:
            count -= 1
            yield str(address)


def haversine_km(a: dict[str, Any], b: dict[str, Any]) -> float:
    phi_a, phi_b = math.radians(a["lat"]), math.radians(b["lat"])
    half = math.sin((phi_b - phi_a) / 2) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(b["lon"] - a["lon"]) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(half))


def expected_order(record: Any, scope: str, regions: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return ids and distances by the plainest means: all of them, sorted."""
    here = {"lat": record["location"]["latitude"], "lon": record["location"]["longitude"]}
    country = record.get("country", {}).get("iso_code") if scope == "country" else None
    rows = [(r["country"] != country, round(haversine_km(here, r), 6), r["id"]) for r in regions]
    return [(id_, km) for _, km, id_ in sorted(rows)]


async def test_thousands_of_addresses_get_what_brute_force_finds(start: Start, geoip_file: Path) -> None:
    regions = yaml.safe_load(default_path().read_text())["regions"]
    located = 0
    with maxminddb.open_database(geoip_file) as reader:
        async with start(autorouter_trusted_proxies="127.0.0.1") as autorouter, autorouter.client() as client:
            for index, address in enumerate(public_addresses(4000)):
                scope = ("country", "global")[index % 2]
                headers = {"X-Forwarded-For": address}
                body = (await client.get(f"/v1/route?scope={scope}", headers=headers)).json()
                record = reader.get(address)
                if not isinstance(record, dict) or "location" not in record:
                    assert (body["region"], body["reason"]) == ("yto-01", "default"), address
                    continue
                located += 1
                order = expected_order(record, scope, regions)
                answered = [body["region"], *(other["region"] for other in body["fallbacks"])]
                assert answered == [id_ for id_, _ in order[:3]], address
                assert body["distance_km"] == pytest.approx(order[0][1], abs=0.051)
                assert body["country"] == record.get("country", {}).get("iso_code")  # type: ignore[union-attr]
    assert located > 3000
