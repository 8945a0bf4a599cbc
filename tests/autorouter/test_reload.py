import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from autorouter import grid
from autorouter.app import build_app
from autorouter.poller import Poller
from autorouter.reload import hold
from autorouter.settings import AutorouterSettings
from tests.autorouter import mmdb
from tests.autorouter.conftest import Start

pytestmark = pytest.mark.anyio

REGION = '  - {{id: {id}, name: N, location: L, country: CA, lat: 0, lon: 0, url: "http://{id}.test"}}\n'


def write(file: Path, *ids: str) -> None:
    file.write_text("regions:\n" + "".join(REGION.format(id=id_) for id_ in ids))


def replace(file: Path, text: str | None) -> None:
    file.write_text(text) if text is not None else file.unlink()


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    write(tmp_path / "regions.yaml", "old-01")
    geoip_file = mmdb.write(tmp_path / "test.mmdb", {})
    return {"regions_file": tmp_path / "regions.yaml", "geoip_file": geoip_file}


@pytest.fixture(autouse=True)
def _hangups_end_nothing() -> Iterator[None]:
    """See to it that a handler that is not there fails its test and not the whole run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


async def chosen(client: httpx.AsyncClient) -> str:
    region: str = (await client.get("/v1/route")).json()["region"]
    return region


async def until_it_chooses(client: httpx.AsyncClient, region: str) -> None:
    with anyio.fail_after(10):
        while await chosen(client) != region:
            await anyio.sleep(0.01)


async def test_new_file_is_read_at_a_hangup_and_not_before(start: Start, settings: dict[str, Any]) -> None:
    async with start(**settings) as autorouter, autorouter.client() as client:
        write(settings["regions_file"], "new-01", "new-02")
        await anyio.sleep(0.05)
        assert await chosen(client) == "old-01"
        hang_up()
        await until_it_chooses(client, "new-01")
        assert (await client.get("/health")).json()["regions"] == 2
        write(settings["regions_file"], "newer-01")
        hang_up()
        await until_it_chooses(client, "newer-01")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("regions:\n  - id: [a]\n", "line 2: regions[0].id: "),
        ("", "line 1: "),
        (f"regions:\n{REGION.format(id='a-01')}overrides: {{GB: [b-01]}}\n", "overrides.GB[0]: 'b-01'"),
        (f"regions:\n{REGION.format(id='a-01').replace('}', ', discoverable: false}')}", "no region is"),
        (f"regions:\n{REGION.format(id='a-01')}", "NEAREDGE_DEFAULT_REGION: 'old-01'"),
        (None, "cannot be read"),
    ],
)
async def test_file_that_cannot_be_used_is_refused_and_the_old_one_stays(
    start: Start, settings: dict[str, Any], text: str | None, reason: str
) -> None:
    file: Path = settings["regions_file"]
    async with start(default_region="old-01", **settings) as autorouter, autorouter.client() as client:
        replace(file, text)
        with capture_logs() as logs, anyio.fail_after(10):
            hang_up()
            while not logs:
                await anyio.sleep(0.01)
        assert [(log["event"], log["log_level"]) for log in logs] == [("regions_refused", "warning")]
        assert reason in logs[0]["reason"]
        assert await chosen(client) == "old-01"
        write(file, "new-01", "old-01")
        hang_up()
        with anyio.fail_after(10):
            while (await client.get("/health")).json()["regions"] != 2:
                await anyio.sleep(0.01)


async def test_even_a_bug_ends_nothing(
    start: Start, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start(**settings) as autorouter, autorouter.client() as client:
        with monkeypatch.context() as broken, capture_logs() as logs, anyio.fail_after(10):
            broken.setattr(grid.Grid, "of", None)
            hang_up()
            while not logs:
                await anyio.sleep(0.01)
        assert [log["event"] for log in logs] == ["regions_reload_failed"]
        write(settings["regions_file"], "new-01")
        hang_up()
        await until_it_chooses(client, "new-01")


async def test_poller_is_told_of_the_new_regions(settings: dict[str, Any]) -> None:
    app = build_app(AutorouterSettings(**settings, internal_secret=SecretStr("s3cret")))
    poller: Poller = app.state.poller
    async with app.router.lifespan_context(app):
        assert "new-01" not in poller.counts
        write(settings["regions_file"], "new-01")
        hang_up()
        with anyio.fail_after(10):
            while "new-01" not in poller.counts:
                await anyio.sleep(0.01)
        assert list(poller.counts) == ["new-01"]


async def test_held_hangup_is_not_lost(start: Start, settings: dict[str, Any]) -> None:
    """One that arrives between the first reading of the file and the listening for it."""
    ended = []
    signal.signal(signal.SIGHUP, lambda *_: ended.append(True))
    hold()
    starting = start(**settings)
    # To this thread: another test's may be about, which holds nothing.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGHUP)
    with capture_logs() as logs, anyio.fail_after(10):
        async with starting:
            while "regions_replaced" not in [log["event"] for log in logs]:
                await anyio.sleep(0.01)
    assert not ended


async def test_handler_is_gone_after_the_end(start: Start, settings: dict[str, Any]) -> None:
    async with start(**settings):
        assert signal.getsignal(signal.SIGHUP) not in (signal.SIG_IGN, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
