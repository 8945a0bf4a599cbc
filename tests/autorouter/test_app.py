import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import AsyncMock

import anyio
import pytest
from pydantic import SecretStr
from starlette.types import Message
from structlog.testing import capture_logs

from autorouter import app
from autorouter.app import build_app
from autorouter.geoip import GeoIP, GeoIPError
from autorouter.settings import AutorouterSettings
from shared.regions import RegionsError
from tests.autorouter import edges, mmdb
from tests.autorouter.conftest import Start

START = """
import anyio, json, sys, time
from pathlib import Path
from autorouter.app import build_app
from autorouter.settings import AutorouterSettings

async def main():
    app = build_app(AutorouterSettings(geoip_file=Path(sys.argv[1])))
    sent = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": "GET", "path": "/v1/route", "query_string": b"", "headers": []}
    async with app.router.lifespan_context(app):
        await app(scope | {"client": ("99.230.0.1", 1)}, receive, send)
    return json.loads(sent[1]["body"])

answer = anyio.run(main)
packages = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"answer": answer, "packages": packages, "cpu_seconds": time.process_time()}))
"""


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/routes", "/v1/route/x", "/v1/models", "/a%2Fb", "/%3Cx%3E"]
)
async def test_unknown_path_is_not_found_in_the_one_error_shape(start: Start, path: str) -> None:
    async with start() as autorouter, autorouter.client() as client:
        response = await client.get(path)
        head = await client.head(path)
    assert (response.status_code, head.status_code) == (404, 404)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["error"] == {
        "message": body["detail"],
        "type": "not_found_error",
        "param": None,
        "code": "not_found",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["[", "a b", "http://x", "", "x:99999999"])
async def test_odd_host_is_no_reason_to_fail(start: Start, host: str) -> None:
    async with start() as autorouter, autorouter.client() as client:
        assert (await client.get("/nowhere", headers={"Host": host})).status_code == 404
        assert (await client.get("/v1/route", headers={"Host": host})).status_code == 200


@pytest.mark.anyio
async def test_closing_service_refuses_with_an_answer_that_is_not_cached(start: Start) -> None:
    async with start() as autorouter, autorouter.client() as client:
        autorouter.drain.closing = True
        response = await client.get("/v1/route")
    assert response.status_code == 503
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["detail"]


@pytest.mark.anyio
async def test_request_ids_are_echoed_or_made(start: Start) -> None:
    async with start() as autorouter, autorouter.client() as client:
        echoed = await client.get("/v1/route", headers={"X-Request-ID": "req_1_abc"})
        made = await client.post("/v1/route")
    assert echoed.headers["x-request-id"] == "req_1_abc"
    assert made.headers["x-request-id"].startswith("req_")


@pytest.mark.anyio
async def test_query_that_is_no_text_is_no_reason_to_fail(start: Start) -> None:
    """HTTP/2 lets bytes through that HTTP/1.1 does not."""
    async with start() as autorouter:
        for path, expected in (("/nowhere", 404), ("/v1/route", 200)):
            sent: list[Message] = []
            scope = {
                "type": "http",
                "method": "GET",
                "path": path,
                "query_string": b"scope=\xff",
                "headers": [],
            }
            await autorouter.service(scope, AsyncMock(), AsyncMock(side_effect=sent.append))
            assert sent[0]["status"] == expected


@pytest.mark.anyio
async def test_new_geoip_file_is_taken_up_without_a_restart(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "REFRESH_SECONDS", 0.01)
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": {"country": {"iso_code": "US"}}}, build_epoch=1)
    async with start(geoip_file=file) as autorouter, autorouter.client() as client:
        assert (await client.get("/health")).json()["geoip"]["build_epoch"] == 1
        mmdb.write(tmp_path / "new.mmdb", {}, build_epoch=2).rename(file)
        with anyio.fail_after(10):
            while (await client.get("/health")).json()["geoip"]["build_epoch"] != 2:
                await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_even_a_bug_does_not_end_the_look_out_for_new_geoip_files(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "REFRESH_SECONDS", 0.01)
    file = mmdb.write(tmp_path / "test.mmdb", {}, build_epoch=1)
    async with start(geoip_file=file) as autorouter, autorouter.client() as client:
        with monkeypatch.context() as broken, capture_logs() as logs, anyio.fail_after(10):
            broken.setattr(GeoIP, "refresh", None)
            while not logs:
                await anyio.sleep(0.01)
        assert logs[0]["event"] == "geoip_refresh_failed"
        mmdb.write(tmp_path / "new.mmdb", {}, build_epoch=2).rename(file)
        with anyio.fail_after(10):
            while (await client.get("/health")).json()["geoip"]["build_epoch"] != 2:
                await anyio.sleep(0.01)


def test_it_is_built_before_there_is_an_event_loop(geoip_file: Path) -> None:
    built = build_app(AutorouterSettings(geoip_file=geoip_file, internal_secret=SecretStr("s3cret")))
    assert built.state.poller.state.watched


@pytest.mark.anyio
async def test_no_request_is_dropped_while_geoip_files_come_broken_and_good(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when they are written over the one that is in use, in pieces."""
    monkeypatch.setattr(app, "REFRESH_SECONDS", 0.001)
    record = {"country": {"iso_code": "US"}, "location": {"latitude": 47.6, "longitude": -122.3}}
    file = mmdb.write(tmp_path / "test.mmdb", {"8.8.8.0/24": record}, build_epoch=1)
    regions: list[str] = []
    async with start(geoip_file=file) as autorouter, autorouter.client("8.8.8.8") as client:
        for build_epoch in range(2, 12):
            new = mmdb.write(tmp_path / "new.mmdb", {"8.8.8.0/24": record}, build_epoch=build_epoch)
            pieces = [b"", b"half a download", new.read_bytes()[:-40], new.read_bytes()]
            for content in pieces:
                file.write_bytes(content)
                for _ in range(5):
                    regions.append((await client.get("/v1/route")).json()["region"])
                    await anyio.sleep(0.001)
            with anyio.fail_after(10):
                while (await client.get("/health")).json()["geoip"]["build_epoch"] != build_epoch:
                    await anyio.sleep(0.001)
    assert set(regions) == {"sea-01"}


def test_start_without_the_geoip_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(GeoIPError, match="nearedge geoip update"):
        build_app(AutorouterSettings(geoip_file=tmp_path / "absent.mmdb"))


def test_start_with_a_broken_regions_file_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "regions.yaml"
    file.write_text("regions:\n  - id: a-01\n")
    with pytest.raises(RegionsError, match=r"regions\.yaml: line 2: regions\[0\]\.name: is missing"):
        build_app(AutorouterSettings(regions_file=file))


def test_it_starts_within_a_second_and_without_an_edge(geoip_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, str(geoip_file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["answer"]["region"] == "yto-01"
    foreign = {"edge", "nearedge", "llama_cpp", "numpy", "onnxruntime", "av", "sqlalchemy", "ctranslate2"}
    assert foreign.isdisjoint(report["packages"])
    # Of the processor, not of the clock: a busy machine must not fail the test.
    assert report["cpu_seconds"] < 1.0


REGION = """
  - id: {id}
    name: A
    location: Here
    country: CA
    lat: 43.65
    lon: -79.38
    url: {url}
    discoverable: {discoverable}
"""


def regions_file(folder: Path, **urls: str) -> Path:
    """Write regions of these ids and urls, of which all but the first are hidden."""
    entries = [
        REGION.format(id=name, url=url, discoverable=str(not number).lower())
        for number, (name, url) in enumerate(urls.items())
    ]
    file = folder / "regions.yaml"
    file.write_text("regions:" + "".join(entries))
    return file


@pytest.mark.anyio
async def test_edges_are_watched_as_long_as_the_service_runs_hidden_ones_too(
    geoip_file: Path, tmp_path: Path
) -> None:
    async with edges.edge(edges.well("shown")) as shown, edges.edge(edges.well("hidden")) as hidden:
        settings = AutorouterSettings(
            geoip_file=geoip_file,
            regions_file=regions_file(tmp_path, shown=shown.url, hidden=hidden.url),
            internal_secret=SecretStr("s3cret"),
        )
        built = build_app(settings)
        state = built.state
        assert state.poller.state.watched
        async with built.router.lifespan_context(built):
            await edges.eventually(lambda: bool(state.poller.state.of("shown").models))
            await edges.eventually(lambda: bool(state.poller.state.of("hidden").models))
        await edges.eventually(lambda: shown.open == hidden.open == 0)


@pytest.mark.anyio
async def test_without_a_secret_no_edge_is_asked(geoip_file: Path, tmp_path: Path) -> None:
    async with edges.edge(edges.well("shown")) as edge:
        settings = AutorouterSettings(
            geoip_file=geoip_file, regions_file=regions_file(tmp_path, shown=edge.url)
        )
        built = build_app(settings)
        async with built.router.lifespan_context(built):
            await anyio.sleep(0.2)
            assert not built.state.poller.state.watched
        assert edge.opened == 0


@pytest.mark.anyio
async def test_an_edge_that_hangs_delays_no_answer(start: Start, tmp_path: Path) -> None:
    async with edges.edge(edges.hanging) as hung:
        file = regions_file(tmp_path, shown=hung.url, **{f"h{number}": hung.url for number in range(30)})
        settings = {"regions_file": file, "internal_secret": "s3cret", "autorouter_poll_timeout_seconds": 60}
        async with start(**settings) as autorouter, autorouter.client() as client:
            await edges.eventually(lambda: hung.open == 31)
            with anyio.fail_after(10):
                for _ in range(20):
                    assert (await client.get("/v1/route")).status_code == 200
