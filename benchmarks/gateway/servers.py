"""The servers under load, each a real process on one core."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from benchmarks.autorouter.cores import pinned
from benchmarks.gateway import litellm
from benchmarks.gateway.edge import BARE, MODEL, WHOLE
from benchmarks.processes import environment, free_port, running, shown, wait_until

HOST = "127.0.0.1"
START_SECONDS = 120.0
PROBE_SECONDS = 10.0
CHAT = "/v1/chat/completions"

NEAREDGE, WITHOUT, LITELLM, STUB = "nearedge", "nearedge without accounts", "LiteLLM", "stub"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """How one server is started; ``key`` opens it. In ``command``, ``{port}`` stands for the port it gets."""

    name: str
    command: tuple[str, ...]
    key: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> str:
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return " ".join([*settings, shown(self.command)])

    def answers(self, port: int) -> bool:
        """Whether the server at *port* answers a chat."""
        headers = {"Authorization": f"Bearer {self.key}"}
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
        url = f"http://{HOST}:{port}{CHAT}"
        try:
            answer = httpx.post(url, json=body, headers=headers, trust_env=False, timeout=PROBE_SECONDS)
        except httpx.TransportError:
            return False
        return answer.status_code == 200


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    spec: ServerSpec
    port: int
    process: psutil.Process

    @property
    def name(self) -> str:
        return self.spec.name

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"


def edge(home: Path, key: str, *, name: str = NEAREDGE, kind: str = WHOLE) -> ServerSpec:
    """Return an edge whose state is in *home*, with the stub as its model."""
    command = (sys.executable, "-m", "benchmarks.gateway.edge", "{port}", str(home), kind)
    return ServerSpec(name, command, key)


def bare(home: Path) -> ServerSpec:
    """Return the same app without keys, limits and metering."""
    return edge(home, "none", name=WITHOUT, kind=BARE)


def proxy(config: Path) -> ServerSpec:
    """Return LiteLLM with one worker, as the edge is one process."""
    command = (str(litellm.program()), "--config", str(config), "--host", HOST, "--port", "{port}")
    return ServerSpec(LITELLM, (*command, "--num_workers", "1"), litellm.MASTER_KEY, litellm.ENVIRONMENT)


@contextmanager
def serving(spec: ServerSpec, scratch: Path, *, core: int) -> Iterator[Server]:
    """Start one server on *core* and yield it once it answers; then end it.

    Raises:
        BenchmarkError: it does not start.
    """
    port = free_port()
    log = scratch / f"{spec.name.replace(' ', '-')}-{port}.log"
    command = pinned(core, [word.replace("{port}", str(port)) for word in spec.command])
    with running(command, environment=environment(spec.environment), log=log) as process:
        wait_until(lambda: spec.answers(port), process, log=log, what=spec.name, seconds=START_SECONDS)
        yield Server(spec, port, process)


@contextmanager
def stub(scratch: Path, *, core: int) -> Iterator[int]:
    """Start the stub that proxies ask, and yield its port."""
    spec = ServerSpec(STUB, (sys.executable, "-m", "benchmarks.gateway.stub_server", "{port}"), "none")
    with serving(spec, scratch, core=core) as server:
        yield server.port
