import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message

from autorouter.app import build_service
from autorouter.settings import AutorouterSettings
from shared.http.drain import Drain


@dataclass
class Autorouter:
    """A started autorouter, without a socket in front of it."""

    service: ASGIApp
    drain: Drain = field(default_factory=Drain)

    @property
    def app(self) -> Starlette:
        """The app behind the middleware."""
        inner: Any = self.service
        while not isinstance(inner, Starlette):
            inner = inner.app
        return inner

    def client(self, peer: str = "127.0.0.1") -> httpx.AsyncClient:
        """Return a client whose socket's address is *peer*."""
        transport = httpx.ASGITransport(self.service, client=(peer, 50000))
        return httpx.AsyncClient(transport=transport, base_url="http://autorouter")


Start = Callable[..., AbstractAsyncContextManager[Autorouter]]


@pytest.fixture
def start(geoip_file: Path) -> Start:
    """Start an autorouter on the real GeoIP file, with the settings given: ``async with start(…) as it``."""

    @asynccontextmanager
    async def started(**settings: Any) -> AsyncIterator[Autorouter]:
        settings.setdefault("geoip_file", geoip_file)
        drain = Drain()
        service = build_service(AutorouterSettings(**settings), drain=drain)
        async with lifespan(service):
            yield Autorouter(service, drain)

    return started


@pytest.fixture
def running(geoip_file: Path, tmp_path: Path) -> Iterator[int]:
    """The port of an autorouter that is a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEAREDGE_")}
    given = {"NEAREDGE_HOME": tmp_path, "NEAREDGE_GEOIP_FILE": geoip_file, "NEAREDGE_LOG_FORMAT": "json"}
    with subprocess.Popen(
        [sys.executable, "-m", "nearedge", "autorouter", "--port", "0"],
        env=environment | {name: str(value) for name, value in given.items()},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            listening = json.loads(process.stderr.readline())
            yield listening["port"]
        finally:
            process.kill()


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Keep *app* started."""
    ready, stop, stopped = anyio.Event(), anyio.Event(), anyio.Event()

    async def receive() -> Message:
        if ready.is_set():
            await stop.wait()
            return {"type": "lifespan.shutdown"}
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        {"lifespan.startup.complete": ready, "lifespan.shutdown.complete": stopped}[message["type"]].set()

    async def run() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await ready.wait()
            yield
            stop.set()
    assert stopped.is_set()
