"""A real caching proxy in front of a real autorouter: who shares an answer with whom, and for how long."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgpack
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.cdn import (
    NEW_YORK,
    NOWHERE,
    ONTARIO,
    QUEBEC,
    Cdn,
    FakeEdge,
    cdn,
    find_nginx,
    nothing_but,
)
from tests.e2e.services import Service, free_ports, service

SECRET, CDN_SECRET = "internal-secret", "cdn-secret"
PLACES = {"yto-01": ("CA", 43.65, -79.38), "yul-01": ("CA", 45.5, -73.57), "nyc-01": ("US", 40.71, -74.01)}

POLL_SECONDS = 0.2
DOWN_AFTER = 3
SHARED_SECONDS = 1
STALE_SECONDS = 1
DETECTION_SECONDS = DOWN_AFTER * 1.2 * POLL_SECONDS + POLL_SECONDS
STATED_SECONDS = DETECTION_SECONDS + SHARED_SECONDS + STALE_SECONDS + 1
"""What deploy/cdn/README.md states: being noticed, kept, given out once more, and nginx's whole seconds."""

KEPT = "public, max-age=300, s-maxage=1, stale-while-revalidate=1, stale-if-error=86400"


@dataclass(frozen=True)
class Front:
    """A cache, the autorouter behind it, and the edges that it chooses from."""

    cdn: Cdn
    autorouter: str
    service: Service
    edges: dict[str, FakeEdge]

    def asked(self) -> int:
        """Return how many questions have come through to the autorouter with a CDN's word for the place."""
        text = httpx.get(f"{self.autorouter}/metrics", headers={"Authorization": f"Bearer {SECRET}"}).text
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "nearedge_autorouter_answers_total" and sample.labels["source"] == "cdn"
        )


@pytest.fixture
def front(_no_foreign_settings: None, geoip_file: Path, tmp_path: Path) -> Iterator[Front]:
    find_nginx()
    with ExitStack() as stack:
        edges = {region: FakeEdge(region, SECRET) for region in PLACES}
        for edge in edges.values():
            stack.callback(edge.die)
        regions_file = tmp_path / "regions.yaml"
        regions_file.write_text(yaml.safe_dump({"regions": [entry(edge) for edge in edges.values()]}))
        port = free_ports(2)
        settings = {
            "regions_file": regions_file,
            "geoip_file": geoip_file,
            "internal_secret": SECRET,
            "autorouter_cdn": "cloudfront",
            "autorouter_cdn_secret": CDN_SECRET,
            "autorouter_poll_seconds": POLL_SECONDS,
            "autorouter_poll_timeout_seconds": POLL_SECONDS,
            "autorouter_down_after": DOWN_AFTER,
            "route_shared_seconds": SHARED_SECONDS,
            "route_stale_seconds": STALE_SECONDS,
            "drain_delay_seconds": 0.1,
            "drain_seconds": 5,
        }
        arguments = ("autorouter", "--port", port, "--home", tmp_path)
        running = stack.enter_context(service(tmp_path / "log", *arguments, **settings))
        url = f"http://127.0.0.1:{port}"
        running.wait_until_healthy(url)
        while httpx.get(f"{url}/health").json()["edges"]["up"] < len(edges):
            time.sleep(0.02)
        cache = stack.enter_context(cdn(tmp_path / "nginx", port + 1, port, CDN_SECRET))
        yield Front(cache, url, running, edges)


def entry(edge: FakeEdge) -> dict[str, object]:
    country, lat, lon = PLACES[edge.region]
    place = {"location": "here", "country": country, "lat": lat, "lon": lon}
    return {"id": edge.region, "name": edge.region, "url": edge.url, **place}


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def named(answer: httpx.Response) -> set[str]:
    """Return every region that *answer* names."""
    body = answer.json()
    return {body["region"], *(other["region"] for other in body["fallbacks"])}


def test_two_callers_in_one_province_share_an_entry(front: Front) -> None:
    first, second = front.cdn.ask(ONTARIO.format(1)), front.cdn.ask(ONTARIO.format(2))

    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")
    assert front.asked() == 1
    assert second.content == first.content
    assert (second.json()["region"], second.json()["country"]) == ("yto-01", "CA")
    assert second.headers["cache-control"] == KEPT
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


def test_callers_in_two_provinces_never_do(front: Front) -> None:
    homes = {ONTARIO: "yto-01", QUEBEC: "yul-01", NEW_YORK: "nyc-01"}
    for place in homes:
        assert front.cdn.ask(place.format(1)).headers["x-cache"] == "MISS"
    claims: list[dict[str, str]] = [
        {},
        {"CloudFront-Viewer-Country": "US", "CloudFront-Viewer-Country-Region": "NY"},
        {"CloudFront-Viewer-Country-Region": "QC", "X-Origin-Verify": CDN_SECRET},
        {"CloudFront-Viewer-Latitude": "45.5", "CloudFront-Viewer-Longitude": "-73.6"},
        {"X-Forwarded-For": "24.48.0.1", "Forwarded": "for=24.48.0.1", "CF-IPCountry": "US"},
    ]
    for number, claim in enumerate(claims * 4, start=2):
        for place, region in homes.items():
            answer = front.cdn.ask(place.format(number), headers=claim)
            assert answer.json()["region"] == region, claim


def test_what_is_asked_is_in_the_key(front: Front) -> None:
    caller = ONTARIO.format(1)
    assert front.cdn.ask(caller).json()["reason"] == "country"
    assert front.cdn.ask(caller, "/v1/route?scope=global").json()["reason"] == "nearest"
    for accept in ("application/x-msgpack", "application/msgpack;q=1.0, application/json;q=0.9, */*;q=0.1"):
        packed = front.cdn.ask(caller, headers={"Accept": accept})
        assert msgpack.unpackb(packed.content)["region"] == "yto-01"
    assert front.cdn.ask(caller, "/v1/route?region=nyc-01").json()["region"] == "nyc-01"
    # Each is an entry of its own, and an odd way to ask leads to the same ones.
    for path in (
        "/v1/route",
        "//v1/route/",
        "/v1/route?scope=country&x=1",
        "/v1/route?scope=country&scope=global",
    ):
        again = front.cdn.ask(caller, path, headers={"Accept": "text/html, */*;q=0.8"})
        assert (again.headers["x-cache"], again.json()["reason"]) == ("HIT", "country")
    assert front.asked() == 4


def test_a_caller_from_nowhere_gets_an_answer_that_nobody_keeps(front: Front) -> None:
    for number in (1, 2):
        answer = front.cdn.ask(NOWHERE.format(number))
        assert (answer.headers["x-cache"], answer.json()["reason"]) == ("BYPASS", "default")
        assert answer.headers["cache-control"].startswith("private, ")


def test_errors_and_other_paths_are_not_kept(front: Front) -> None:
    caller = ONTARIO.format(1)
    for _ in range(2):
        unknown = front.cdn.ask(caller, "/v1/route?model=no-such-model")
        assert (unknown.status_code, unknown.headers["x-cache"]) == (404, "MISS")
    assert front.cdn.ask(caller, "/metrics").status_code == 404
    assert front.cdn.ask(caller, "/health").json()["status"] == "healthy"
    refused = front.cdn.ask(caller, method="POST")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_pages_of_every_origin_may_ask_through_it(front: Front) -> None:
    caller, page = ONTARIO.format(1), {"Origin": "https://page.example"}
    tag = front.cdn.ask(caller).headers["etag"]
    unchanged = front.cdn.ask(caller, headers=page | {"If-None-Match": tag})
    preflight = front.cdn.ask(
        caller, method="OPTIONS", headers=page | {"Access-Control-Request-Method": "GET"}
    )
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert preflight.status_code == 204
    for answer in (unchanged, preflight):
        assert answer.headers["access-control-allow-origin"] == "*"


def test_an_edge_that_dies_is_out_of_cached_answers_within_the_stated_time(front: Front) -> None:
    assert front.cdn.ask(ONTARIO.format(1)).json()["region"] == "yto-01"

    front.edges["yto-01"].die()
    died = last_named = time.monotonic()
    while time.monotonic() < died + STATED_SECONDS + 2:
        asked = time.monotonic()
        answer = front.cdn.ask(ONTARIO.format(2))
        assert answer.status_code == 200
        if "yto-01" in named(answer):
            last_named = asked
        time.sleep(0.05)

    assert last_named - died < STATED_SECONDS
    assert (answer.json()["region"], answer.json()["degraded"]) == ("yul-01", False)


def test_a_model_that_nobody_serves_any_more_is_out_of_cached_answers_likewise(front: Front) -> None:
    caller, question = ONTARIO.format(1), "/v1/route?model=tiny"
    front.edges["yto-01"].serve("tiny")
    wait_for(lambda: front.cdn.ask(caller, question).status_code == 200)

    front.edges["yto-01"].serve()
    wait_for(lambda: front.cdn.ask(caller, question).status_code == 404, STATED_SECONDS)
    answer = front.cdn.ask(caller, question)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("question", ["/v1/route", "/v1/route?model=tiny"])
def test_the_cache_still_answers_when_the_autorouter_is_stopped(front: Front, question: str) -> None:
    front.edges["yto-01"].serve("tiny")
    wait_for(lambda: front.cdn.ask(ONTARIO.format(1), question).status_code == 200)
    kept = front.cdn.ask(ONTARIO.format(1), question)
    front.service.stop()
    time.sleep(SHARED_SECONDS + STALE_SECONDS + 2)

    for number in range(5):
        asked = time.monotonic()
        answer = front.cdn.ask(ONTARIO.format(number + 1), question)
        # polargrid-sdk waits two seconds.
        assert time.monotonic() - asked < 1.5
        assert (answer.status_code, answer.headers["x-cache"]) == (200, "STALE")
        assert answer.content == kept.content

    unseen = front.cdn.ask(QUEBEC.format(1))
    assert unseen.status_code == 503
    assert unseen.json()["error"]["code"] == "unavailable"
    assert unseen.headers["cache-control"] == "no-store"
    assert unseen.headers["access-control-allow-origin"] == "*"


def test_the_cache_still_answers_when_what_is_before_the_autorouter_finds_none(front: Front) -> None:
    kept = front.cdn.ask(ONTARIO.format(1))
    front.service.stop()
    time.sleep(SHARED_SECONDS + STALE_SECONDS + 2)

    with nothing_but(503, urlsplit(front.autorouter).port or 0):
        answer = front.cdn.ask(ONTARIO.format(2))
    assert (answer.status_code, answer.headers["x-cache"]) == (200, "STALE")
    assert answer.content == kept.content
