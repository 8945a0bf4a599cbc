"""The servers under load, each a real process on the loopback, and how each wants to be asked."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.llm.client import HOST, Answer, ask
from benchmarks.processes import BenchmarkError, environment, free_port, running, shown, wait_until

START_SECONDS = 180.0
KEY_SECONDS = 60.0
PROBE_SECONDS = 5.0
READY = ("ok", "healthy")

NEAREDGE = "nearedge"
LLAMA_SERVER = "llama-server"
BUNDLED = "bundled"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """How one server is started and asked. In ``command``, ``{port}`` stands for the port it gets.

    ``extra`` goes into every body: what makes an answer greedy and as long as asked for there.
    """

    name: str
    command: tuple[str, ...]
    extra: Mapping[str, Any]
    health: str = "/health"
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> str:
        """Write the command line, with the settings that it runs under before it."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return " ".join([*settings, shown(self.command)])


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    spec: ServerSpec
    port: int
    process: psutil.Process

    @property
    def name(self) -> str:
        return self.spec.name

    async def complete(self, prompt: str, tokens: int) -> Answer:
        """Have *prompt* continued by exactly *tokens* tokens. Raises as ``ask`` and ``require`` do."""
        return await self._ask("/v1/completions", {"prompt": prompt}, tokens)

    async def chat(self, messages: Sequence[Mapping[str, str]], tokens: int) -> Answer:
        """Have *messages* answered with exactly *tokens* tokens. Raises as ``ask`` and ``require`` do."""
        return await self._ask("/v1/chat/completions", {"messages": list(messages)}, tokens)

    async def _ask(self, path: str, what: Mapping[str, Any], tokens: int) -> Answer:
        body = {
            **what,
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.spec.extra,
        }
        return (await ask(self.port, path, body, self.spec.headers)).require(tokens)


def nearedge(
    scratch: Path,
    *,
    model: str,
    ends: Sequence[int],
    settings: Mapping[str, object],
    module: str = "nearedge",
    name: str = NEAREDGE,
) -> ServerSpec:
    """Return an edge with a home and a key of its own below *scratch*, under *settings*, without limits."""
    home = Path(tempfile.mkdtemp(dir=scratch, prefix="home-"))
    settings = {"edge_requests_per_minute": 0, **settings}
    given = {f"NEAREDGE_{key.upper()}": str(value) for key, value in settings.items()}
    return ServerSpec(
        name=name,
        command=(
            *(sys.executable, "-m", module, "edge"),
            *("--host", HOST, "--port", "{port}", "--home", str(home)),
        ),
        extra={"model": model, "logit_bias": _never(ends)},
        environment=given,
        headers={"Authorization": f"Bearer {create_key(home)}"},
    )


def create_key(home: Path) -> str:
    """Make a key for the edge whose state is in *home*.

    Raises:
        BenchmarkError: none can be made.
    """
    done = subprocess.run(
        [sys.executable, "-m", "nearedge", "keys", "create", "--home", str(home), "--json"],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=KEY_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"no key can be made: {done.stderr.strip()}")
    key: str = json.loads(done.stdout)["key"]
    return key


def llama_server(
    program: Path, file: Path, *options: object, threads: int | None, name: str = LLAMA_SERVER
) -> ServerSpec:
    """Return a ``llama-server`` on the model *file*; without *threads* it chooses for itself."""
    chosen = () if threads is None else ("-t", str(threads), "-tb", str(threads))
    return ServerSpec(
        name=name,
        command=(
            *(str(program), "-m", str(file), "--host", HOST, "--port", "{port}"),
            *chosen,
            *map(str, options),
        ),
        # One candidate: the cheapest way through its chain of samplers, and greedy as temperature 0 is.
        extra={"ignore_eos": True, "top_k": 1},
    )


def bundled(python: Path, file: Path, *, ends: Sequence[int], threads: int) -> ServerSpec:
    """Return the bindings' own server on the model *file*, with the settings that make it fastest.

    By default it computes the logits of every prompt token, goes without flash attention, and breaks off
    a stream when another request comes.
    """
    options = {
        "n_ctx": 2048,
        "n_threads": threads,
        "n_threads_batch": threads,
        "flash_attn": True,
        "logits_all": False,
        "interrupt_requests": False,
    }
    flags = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return ServerSpec(
        name=BUNDLED,
        command=(
            *(str(python), "-m", "llama_cpp.server", "--model", str(file)),
            *("--host", HOST, "--port", "{port}", *flags),
        ),
        extra={"logit_bias": _never(ends), "repeat_penalty": 1.0},
        health="/v1/models",
    )


def _never(tokens: Sequence[int]) -> dict[str, float]:
    return {str(token): -100.0 for token in tokens}


@contextmanager
def serving(specs: Sequence[ServerSpec], scratch: Path) -> Iterator[list[Server]]:
    """Start every server, one after the other, and yield them once all answer; end them on leaving.

    Raises:
        BenchmarkError: one does not start.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_one(spec, scratch)) for spec in specs]


@contextmanager
def _one(spec: ServerSpec, scratch: Path) -> Iterator[Server]:
    port = free_port()
    log = scratch / f"{spec.name.replace(' ', '-')}-{port}.log"
    command = [word.replace("{port}", str(port)) for word in spec.command]
    with running(command, environment=environment(spec.environment), log=log) as process:
        wait_until(
            lambda: _answers(f"http://{HOST}:{port}{spec.health}"),
            process,
            log=log,
            what=spec.name,
            seconds=START_SECONDS,
        )
        yield Server(spec, port, process)


def _answers(url: str) -> bool:
    """Whether *url* answers, and, if it tells a status, one of a server whose model is loaded."""
    try:
        answer = httpx.get(url, trust_env=False, timeout=PROBE_SECONDS)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json().get("status", "ok") in READY
