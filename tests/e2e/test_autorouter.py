"""The autorouter of a running grid, asked as a CDN in front of it would."""

from typing import Any

import httpx
import pytest

from tests.e2e.errors import assert_error
from tests.e2e.grids import Grid

TORONTO, NEW_YORK = "99.224.0.1", "24.193.0.1"
NOVA_SCOTIA = "24.222.1.1"
"""In Canada, and nearer to New York than to Toronto."""

MICHIGAN = "68.61.1.1"
"""In the United States, and nearer to Toronto than to New York."""


def route(grid: Grid, address: str | None = None, **query: str) -> dict[str, Any]:
    headers = {"X-Forwarded-For": address} if address is not None else {}
    answer = httpx.get(f"{grid.autorouter}/v1/route", params=query, headers=headers)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize(
    ("address", "scope", "region"),
    [
        (TORONTO, "country", "yto-01"),
        (NEW_YORK, "country", "nyc-01"),
        (NOVA_SCOTIA, "country", "yto-01"),
        (NOVA_SCOTIA, "global", "nyc-01"),
        (MICHIGAN, "country", "nyc-01"),
        (MICHIGAN, "global", "yto-01"),
        (MICHIGAN, " GLOBAL ", "yto-01"),
        (MICHIGAN, "galaxy", "nyc-01"),
        (f"{NEW_YORK}, {TORONTO}", "country", "yto-01"),
        (f"{TORONTO}, {NEW_YORK}, 127.0.0.1", "country", "nyc-01"),
        ("10.0.0.1", "country", "yto-01"),
        ("no address", "country", "yto-01"),
    ],
)
def test_the_nearest_edge(grid: Grid, address: str, scope: str, region: str) -> None:
    answer = route(grid, address, scope=scope)

    assert answer["region"] == region
    assert answer["endpoint"] == grid.edges[region]


def test_everything_that_the_answer_says(grid: Grid) -> None:
    answer = route(grid, TORONTO)

    assert answer["name"] == "Toronto"
    assert answer["country"] == "CA"
    assert answer["distance_km"] < 50
    assert answer["reason"] == "country"
    assert isinstance(answer["ttl"], int)
    assert answer["ttl"] > 0
    assert answer["fallbacks"] == [{"region": "nyc-01", "name": "New York", "endpoint": grid.edges["nyc-01"]}]


def test_a_caller_from_nowhere_gets_the_default(grid: Grid) -> None:
    answer = route(grid)

    assert (answer["region"], answer["reason"]) == ("yto-01", "default")
    assert (answer["country"], answer["distance_km"]) == (None, None)


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/v1/route", "/v1/chat/completions", "/"])
def test_verbs_that_a_discovery_service_does_not_have(grid: Grid, verb: str, path: str) -> None:
    assert_error(httpx.request(verb, f"{grid.autorouter}{path}", content=b"{}"), 403, "GET /v1/route")


def test_a_large_body_is_refused_like_a_small_one(grid: Grid) -> None:
    assert_error(httpx.post(f"{grid.autorouter}/v1/route", content=bytes(10_000_000)), 403, "GET /v1/route")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/models", "/v1/route/x", "/docs"])
def test_unknown_paths(grid: Grid, path: str) -> None:
    answer = httpx.get(f"{grid.autorouter}{path}")

    assert_error(answer, 404, f"There is nothing at GET {path}")
    assert answer.headers["cache-control"] == "no-store"


def test_head_and_options(grid: Grid) -> None:
    head = httpx.head(f"{grid.autorouter}/v1/route")
    options = httpx.options(f"{grid.autorouter}/v1/route")

    assert (head.status_code, head.content) == (200, b"")
    assert options.status_code == 204
    assert options.headers["allow"] == "GET, HEAD, OPTIONS"


def test_health(grid: Grid) -> None:
    health = httpx.get(f"{grid.autorouter}/health").json()

    assert (health["status"], health["regions"]) == ("healthy", 2)
