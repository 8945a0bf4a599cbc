import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.audio import SENTENCE
from tests.e2e.grids import Grid
from tests.e2e.services import (
    TIMEOUT_SECONDS,
    LoneEdge,
    create_key,
    free_ports,
    is_foreign,
    is_healthy,
    service,
    workers,
)

QUIET_DRAIN = {"drain_delay_seconds": 0.2, "drain_seconds": 10}
NO_LIMIT = {"edge_requests_per_minute": 0}
"""Tests send more in a minute than a key may by default."""


_MEASURED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MEASURED] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[_MEASURED]:
        terminalreporter.section("measured")
        for line in config.stash[_MEASURED]:
            terminalreporter.line(line)


@pytest.fixture
def measured(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Take a line for the end of the report: what took how long here."""
    return pytestconfig.stash[_MEASURED].append


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            # The fixtures wait for processes and have limits of their own.
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS, func_only=True))


@pytest.fixture(scope="package", autouse=True)
def _no_foreign_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in filter(is_foreign, list(os.environ)):
            patch.delenv(variable)
        yield


@pytest.fixture(scope="package")
def grid(
    _no_foreign_settings: None, geoip_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Grid]:
    """The default grid, as ``nearedge up`` starts it. Tests that break something break nyc-01."""
    home = tmp_path_factory.mktemp("grid")
    settings = (
        QUIET_DRAIN | NO_LIMIT | {"autorouter_trusted_proxies": "127.0.0.1/32", "geoip_file": geoip_file}
    )
    arguments = ("up", "--json", "--port", free_ports(3), "--home", home / "state")
    with service(home / "log", *arguments, **settings) as up:
        yield Grid.parse(up.read_line(), home / "state", up)
        up.stop()


@pytest.fixture(scope="package")
def edge_url(grid: Grid) -> str:
    return grid.edges["yto-01"]


@pytest.fixture(scope="package")
def http(grid: Grid, edge_url: str) -> Iterator[httpx.Client]:
    """Raw HTTP to the edge yto-01, with a key."""
    headers = {"Authorization": f"Bearer {grid.inference_key}"}
    with httpx.Client(base_url=edge_url, headers=headers, timeout=TIMEOUT_SECONDS) as client:
        yield client


@pytest.fixture(scope="package")
def client(grid: Grid, edge_url: str) -> Iterator[openai.OpenAI]:
    """The published OpenAI client, pointed at the edge yto-01."""
    with openai.OpenAI(
        base_url=f"{edge_url}/v1", api_key=grid.inference_key, timeout=TIMEOUT_SECONDS, max_retries=0
    ) as made:
        yield made


@pytest.fixture(scope="package")
def operator_only_key(grid: Grid) -> str:
    """A key that opens operators' calls and nothing else."""
    return create_key(grid.home, "superadmin")["key"]


@pytest.fixture(scope="package")
def recording(http: httpx.Client) -> bytes:
    """A WAV file in which somebody says SENTENCE."""
    answer = http.post(
        "/v1/audio/speech",
        json={"model": "kokoro-82m", "voice": "af_sarah", "input": SENTENCE, "response_format": "wav"},
    )
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.fixture
def lone_edge(_no_foreign_settings: None, tmp_path: Path) -> Callable[..., AbstractContextManager[LoneEdge]]:
    """Start an edge with settings of the test's own."""

    @contextmanager
    def start(**settings: object) -> Iterator[LoneEdge]:
        port = free_ports(1)
        key = create_key(tmp_path, "inference")["key"]
        settings = QUIET_DRAIN | NO_LIMIT | {"edge_models": "smollm2-135m-instruct"} | settings
        arguments = ("edge", "--region", "yul-01", "--port", port, "--home", tmp_path)
        with service(tmp_path / "log", *arguments, **settings) as running:
            url = f"http://127.0.0.1:{port}"
            running.wait_until_healthy(url)
            yield LoneEdge(url, key, running)

    return start


@pytest.fixture
def unharmed(grid: Grid, edge_url: str) -> Iterator[None]:
    """See that the edge yto-01 has the same workers after the test as before it, and is healthy."""
    edge = grid.edge_pid("yto-01")
    before = {worker.pid for worker in workers(edge)}
    yield
    assert {worker.pid for worker in workers(edge)} == before
    assert is_healthy(edge_url)
