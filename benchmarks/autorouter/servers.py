"""The servers under load, each a real process on one core of its own."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.autorouter import dnsperf, nginx, powerdns
from benchmarks.autorouter.cores import pinned
from benchmarks.autorouter.product import Choice
from benchmarks.autorouter.provinces import Province
from benchmarks.autorouter.tools import program
from benchmarks.processes import BenchmarkError, environment, free_port, running, shown, wait_until

HOST = "127.0.0.1"
PATH = "/v1/route"
START_SECONDS = 180.0
PROBE_SECONDS = 5.0

AUTOROUTER = "nearedge"
BARE = "bare app"
NGINX = "nginx"
POWERDNS = "PowerDNS"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """How one server is started. In ``command``, ``{port}`` stands for the port it gets.

    ``prepare`` writes what it reads, for that port, before it starts. One that speaks DNS has the ``name``
    under which it answers in ``dns_name``.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[int], None] = lambda _port: None
    dns_name: str | None = None

    def shown(self) -> str:
        """Write the command line, with the settings that it runs under before it."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return " ".join([*settings, shown(self.command)])

    def answers(self, port: int) -> bool:
        """Whether the server at *port* gives an answer, be it to whom it may."""
        if self.dns_name is not None:
            try:
                return bool(dnsperf.text(port, self.dns_name, dnsperf.ANYBODY))
            except BenchmarkError:
                return False
        try:
            answer = httpx.get(f"http://{HOST}:{port}{PATH}", trust_env=False, timeout=PROBE_SECONDS)
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

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}{PATH}"


def autorouter(
    home: Path, geoip_file: Path, *, regions_file: Path | None = None, name: str = AUTOROUTER
) -> ServerSpec:
    """Return an autorouter as it comes, except that it believes the loopback who its callers are."""
    home.mkdir(exist_ok=True)
    settings = {
        "NEAREDGE_GEOIP_FILE": str(geoip_file),
        "NEAREDGE_AUTOROUTER_TRUSTED_PROXIES": f"{HOST}/32",
    }
    if regions_file is not None:
        settings["NEAREDGE_REGIONS_FILE"] = str(regions_file)
    command = (sys.executable, "-m", "nearedge", "autorouter", "--host", HOST, "--port", "{port}")
    return ServerSpec(name, (*command, "--home", str(home)), settings)


def bare(constant: Mapping[str, Any]) -> ServerSpec:
    """Return the bare app, whose every answer is *constant*."""
    return ServerSpec(
        BARE, (sys.executable, "-m", "benchmarks.autorouter.bare", "{port}", json.dumps(constant))
    )


def nginx_by_map(
    directory: Path,
    geoip_file: Path,
    answers: Mapping[Province, Mapping[str, Any]],
    default: Mapping[str, Any],
) -> ServerSpec:
    """Return an nginx of one worker that finds each of the *answers* in a map by country and subdivision."""
    directory.mkdir(exist_ok=True)
    file = directory / "nginx.conf"

    def prepare(port: int) -> None:
        file.write_text(nginx.configuration(directory, geoip_file, port, answers, default), "utf-8")

    return ServerSpec(NGINX, (program("nginx"), "-p", str(directory), "-c", str(file)), prepare=prepare)


def powerdns_by_map(
    directory: Path, geoip_file: Path, choices: Mapping[Province, Choice], default: Choice
) -> ServerSpec:
    """Return a PowerDNS of one thread that finds each of the *choices* in the same map."""
    directory.mkdir(exist_ok=True)

    def prepare(port: int) -> None:
        (directory / "zones.yaml").write_text(powerdns.zones(choices, default), "utf-8")
        (directory / "pdns.conf").write_text(powerdns.configuration(directory, geoip_file, port), "utf-8")

    return ServerSpec(
        POWERDNS,
        (program("pdns_server"), f"--config-dir={directory}"),
        prepare=prepare,
        dns_name=powerdns.NAME,
    )


@contextmanager
def serving(specs: Sequence[ServerSpec], scratch: Path, *, core: int) -> Iterator[list[Server]]:
    """Start every server on *core*, one after the other, and yield them once all answer; then end them.

    Raises:
        BenchmarkError: one does not start.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_one(spec, scratch, core)) for spec in specs]


@contextmanager
def _one(spec: ServerSpec, scratch: Path, core: int) -> Iterator[Server]:
    with started(spec, scratch, core=core) as (server, log):
        wait_until(
            lambda: spec.answers(server.port), server.process, log=log, what=spec.name, seconds=START_SECONDS
        )
        yield server


@contextmanager
def started(spec: ServerSpec, scratch: Path, *, core: int) -> Iterator[tuple[Server, Path]]:
    """Start one server and yield it with its log at once, whether it answers already or not."""
    port = free_port()
    spec.prepare(port)
    log = scratch / f"{spec.name.replace(' ', '-')}-{port}.log"
    command = pinned(core, [word.replace("{port}", str(port)) for word in spec.command])
    with running(command, environment=environment(spec.environment), log=log) as process:
        yield Server(spec, port, process), log
