import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from edge.accounts import Billing, KeyOrder, Scope, open_registry
from edge.app import build_app
from edge.models import load_catalogue, served
from edge.models.served import ServedModels
from edge.settings import EdgeSettings
from shared.http.drain import Drain
from tests.models import CACHE, pulled

INTERNAL_SECRET = SecretStr("shared-by-the-grid")


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge in this process, whose models are scripted engines in real worker processes."""

    client: TestClient
    home: Path
    drain: Drain
    models: ServedModels

    def key(self, *scopes: Scope, **bounds: Any) -> str:
        return make_key(self.home, *scopes, **bounds)


def make_key(home: Path, *scopes: Scope, **bounds: Any) -> str:
    """Make a key with *scopes*; *bounds* are the other fields of ``KeyOrder``."""

    async def make() -> str:
        async with open_registry(home, None) as registry:
            order = KeyOrder(**{"name": "test", "scopes": frozenset(scopes)} | bounds)
            return (await registry.keys.create(order)).raw

    return anyio.run(make)


def make_tenant(home: Path, tenant_id: str, billing: Billing = Billing.UNMETERED) -> None:
    async def make() -> None:
        async with open_registry(home, None) as registry:
            await registry.tenants.create(tenant_id, tenant_id, billing)

    anyio.run(make)


@pytest.fixture(scope="package")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with open_edge(tmp_path_factory.mktemp("home")) as edge:
        yield edge


@contextmanager
def open_edge(home: Path, **more: Any) -> Iterator[Edge]:
    """Serve an edge whose state is in *home*; *more* are other settings of it."""
    settings = EdgeSettings(
        home=home,
        cache=CACHE,
        internal_secret=INTERNAL_SECRET,
        edge_key_cache_seconds=0.2,
        edge_requests_per_minute=0,
        edge_audio_limit_bytes=2**20,
        **more,
    )
    for name in settings.edge_models:
        pulled(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served, "ENGINES", dict.fromkeys(served.ENGINES, "tests.edge.api.scripted_engine"))
        models = ServedModels(load_catalogue(), settings)
    drain = Drain()
    with TestClient(build_app(settings, models, drain), raise_server_exceptions=False) as client:
        deadline = time.monotonic() + 60
        while client.get("/health").json()["status"] != "healthy":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield Edge(client, home, drain, models)


@pytest.fixture(scope="package")
def inference_key(edge: Edge) -> str:
    return edge.key(Scope.INFERENCE)


@pytest.fixture
def client(edge: Edge, inference_key: str) -> Iterator[TestClient]:
    edge.client.headers["Authorization"] = f"Bearer {inference_key}"
    yield edge.client
    edge.client.headers.pop("Authorization", None)
