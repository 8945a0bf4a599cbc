import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from edge.accounts import KeyService, Scope
from edge.app import build_app
from edge.models import load_catalogue, served
from edge.models.served import ServedModels
from edge.settings import EdgeSettings
from edge.store import KeyStore, database_file, open_database
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

    def key(self, *scopes: Scope) -> str:
        return make_key(self.home, *scopes)


def make_key(home: Path, *scopes: Scope) -> str:
    async def make() -> str:
        async with open_database(database_file(home)) as database:
            return (await KeyService(KeyStore(database), cache_seconds=0).create("test", scopes)).raw

    return anyio.run(make)


@pytest.fixture(scope="package")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    home = tmp_path_factory.mktemp("home")
    settings = EdgeSettings(
        home=home,
        cache=CACHE,
        internal_secret=INTERNAL_SECRET,
        edge_key_cache_seconds=0.2,
        edge_audio_limit_bytes=2**20,
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
