import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from autorouter import app
from autorouter.grid_state import EdgeState, GridState, ModelState
from autorouter.route_counts import BUCKET_SECONDS
from shared import regions
from tests.autorouter import mmdb
from tests.autorouter.conftest import Start

pytestmark = pytest.mark.anyio

SECRET = "s3cret"
BEARER = {"Authorization": f"Bearer {SECRET}"}
TORONTO = "99.230.0.1"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(client: httpx.AsyncClient) -> Samples:
    response = await client.get("/metrics", headers=BEARER)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert response.headers["cache-control"] == "no-store"
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"nearedge_autorouter_{name}", tuple(sorted(labels.items()))]


async def test_answers_are_counted(start: Start) -> None:
    async with (
        start(internal_secret=SECRET) as autorouter,
        autorouter.client(TORONTO) as client,
        autorouter.client() as nobody,
    ):
        tag = (await client.get("/v1/route")).headers["etag"]
        await client.get("/v1/route", headers={"If-None-Match": tag})
        await client.head("/v1/route?scope=global")
        await nobody.get("/v1/route")
        samples = await scrape(client)
    assert of(samples, "answers_total", reason="country", source="geoip", degraded="false") == 2
    assert of(samples, "answers_total", reason="nearest", source="geoip", degraded="false") == 1
    assert of(samples, "answers_total", reason="default", source="none", degraded="false") == 1
    assert of(samples, "unchanged_total") == 1
    assert of(samples, "answer_seconds_count") == 4
    assert of(samples, "answer_seconds_bucket", le="+Inf") == 4
    assert 0 < of(samples, "answer_seconds_sum") < 4
    bounds = [of(samples, "answer_seconds_bucket", le=str(bound)) for bound in BUCKET_SECONDS]
    assert bounds == sorted(bounds)
    # The scrape itself is under way.
    assert of(samples, "requests_in_flight") == 1


async def test_process_tells_its_memory(start: Start) -> None:
    async with start(internal_secret=SECRET) as autorouter, autorouter.client() as client:
        samples = await scrape(client)
    resident = samples["process_resident_memory_bytes", ()]
    assert resident == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
    assert ("process_cpu_seconds_total", ()) in samples


@dataclass
class Counts:
    polls: int
    misses: int


@dataclass
class Poller:
    state: GridState
    counts: dict[str, Counts]


async def test_edges_are_told_by_condition_and_poll(start: Start, tmp_path: Path) -> None:
    hidden = "  - {id: hidden, name: H, location: L, country: CA, lat: 0, lon: 0, discoverable: false,"
    file = tmp_path / "regions.yaml"
    file.write_text(f'{regions.default_path().read_text()}{hidden} url: "http://h.test"}}\n')
    edges = {
        "yto-01": EdgeState(models={}),
        "yul-01": EdgeState(models={"m": ModelState("m", busy=True)}),
        "hidden": EdgeState(up=False),
    }
    poller = Poller(GridState(edges, watched=True), {"yto-01": Counts(7, 2), "hidden": Counts(5, 5)})
    async with (
        start(internal_secret=SECRET, regions_file=file) as autorouter,
        autorouter.client() as client,
    ):
        autorouter.app.state.poller = poller
        samples = await scrape(client)
        health = (await client.get("/health")).json()
    expected = {"up": 1, "busy": 1, "draining": 0, "down": 1, "unknown": 15}
    for name, count in expected.items():
        assert of(samples, "edges", condition=name) == count
    assert of(samples, "watching") == 1
    assert of(samples, "polls_total", region="yto-01") == 7
    assert of(samples, "poll_misses_total", region="hidden") == 5
    assert health["edges"] == {"watched": True} | expected
    assert health["regions"] == sum(expected.values())


async def test_geoip_file_tells_its_age_and_its_changes(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "REFRESH_SECONDS", 0.01)
    built = int(time.time()) - 3600
    file = mmdb.write(tmp_path / "test.mmdb", {}, build_epoch=built)
    async with (
        start(internal_secret=SECRET, geoip_file=file) as autorouter,
        autorouter.client() as client,
    ):
        samples = await scrape(client)
        assert of(samples, "geoip_build_timestamp_seconds") == built
        assert of(samples, "geoip_age_seconds") == pytest.approx(3600, abs=60)
        assert (of(samples, "geoip_replaced_total"), of(samples, "geoip_refused_total")) == (0, 0)
        (tmp_path / "broken").write_bytes(b"no GeoIP file")
        (tmp_path / "broken").rename(file)
        with anyio.fail_after(10):
            while of(await scrape(client), "geoip_refused_total") != 1:
                await anyio.sleep(0.01)
        mmdb.write(tmp_path / "new.mmdb", {}, build_epoch=built + 1).rename(file)
        with anyio.fail_after(10):
            while of(samples := await scrape(client), "geoip_replaced_total") != 1:
                await anyio.sleep(0.01)
        assert of(samples, "geoip_build_timestamp_seconds") == built + 1
        assert of(samples, "geoip_refused_total") == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {SECRET}"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": f"bearer {SECRET}"}, 200),
    ],
)
async def test_numbers_are_for_who_has_the_secret(start: Start, headers: dict[str, str], code: int) -> None:
    async with start(internal_secret=SECRET) as autorouter, autorouter.client() as client:
        response = await client.get("/metrics", headers=headers)
    assert response.status_code == code
    assert "nearedge_autorouter" in response.text if code == 200 else SECRET not in response.text


async def test_without_a_secret_nobody_gets_them(start: Start) -> None:
    async with start() as autorouter, autorouter.client() as client:
        response = await client.get("/metrics", headers=BEARER)
    assert response.status_code == 403
    assert "NEAREDGE_INTERNAL_SECRET" in response.json()["detail"]
