"""A grid on this machine: an autorouter and edges, each a process of its own."""

import asyncio
import fcntl
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
import httpx
import yaml
from pydantic import SecretStr

from nearedge import log_file
from nearedge.settings import Settings
from shared.cpus import available_cpus
from shared.regions import Region
from shared.settings import environment_for

HOST = "127.0.0.1"
POLL_SECONDS = 0.1
HEALTH_TIMEOUT_SECONDS = 5.0
STOP_MARGIN_SECONDS = 10.0
"""How much longer than its own drain a service may take to end before it is killed."""


class GridError(Exception):
    """The grid does not start or did not stay up; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Member:
    """One service of the grid: its name, where it answers, and the arguments that start it."""

    name: str
    url: str
    arguments: tuple[str, ...]
    log: Path | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started: ``edges`` in the order of their ports, each of the region at its place."""

    autorouter: Member
    edges: tuple[Member, ...]
    regions: tuple[Region, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        return (self.autorouter, *self.edges)


def plan(regions: Sequence[Region], port: int, logs: Path | None) -> Plan:
    """Lay out a grid of *regions*: the autorouter on *port*, the edges on the ports after it.

    Each service logs to a file in *logs*, or to this process's stderr where that is None.
    """
    edges = tuple(
        Member(
            region.id,
            f"http://{HOST}:{port + number}",
            ("edge", "--region", region.id, "--host", HOST, "--port", str(port + number)),
            logs / f"{region.id}.log" if logs else None,
        )
        for number, region in enumerate(regions, 1)
    )
    autorouter = Member(
        "autorouter",
        f"http://{HOST}:{port}",
        ("autorouter", "--host", HOST, "--port", str(port)),
        logs / "autorouter.log" if logs else None,
    )
    return Plan(autorouter, edges, tuple(regions))


def threads_per_edge(edges: int) -> int:
    """Return the CPU threads of a model when *edges* edges share this machine.

    Two models that both run on every core slow each other down far more than by half: llama.cpp's threads
    spin while they wait for one another.
    """
    return max(1, available_cpus() // edges)


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """Keep *home* for one grid at a time.

    Raises:
        GridError: another grid runs there, or nothing can be written there.
    """
    file = home / "grid" / "lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("w")
    except OSError as error:
        raise GridError(f"{file} cannot be made: {error.strerror}; choose another --home") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GridError(f"another grid runs in {home}; stop it, or choose another --home") from error
        yield


def check_ports(port: int, count: int) -> None:
    """See that *count* ports from *port* on are free.

    Raises:
        GridError: one is not, or there is no such port.
    """
    last = 65536 - count
    if not 1 <= port <= last:
        raise GridError(f"--port {port}: give a port from 1 to {last}")
    for number in range(port, port + count):
        try:
            socket.create_server((HOST, number)).close()
        except OSError as error:
            raise GridError(
                f"port {number} cannot be bound ({error.strerror}); choose others with --port"
            ) from error


def write_regions(file: Path, plan: Plan) -> None:
    """Write the regions of *plan*, at their local addresses, as a regions.yaml."""
    entries = [
        {
            "id": region.id,
            "name": region.name,
            "location": region.location,
            "country": region.country,
            "lat": region.lat,
            "lon": region.lon,
            "url": member.url,
            "aliases": list(region.aliases),
            "discoverable": True,
        }
        for region, member in zip(plan.regions, plan.edges, strict=True)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"regions": entries}, sort_keys=False), "utf-8")


class Grid:
    """The services of a plan."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self.plan = plan
        self._settings = settings
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def run(self, announce: Callable[[], None]) -> None:
        """Start everything, call *announce* once it all answers, and stop it all at SIGINT or SIGTERM.

        A second signal is passed on too: it has the services end without waiting for their requests.

        Raises:
            GridError: a service did not start or ended by itself; the others are stopped.
        """
        received = signal.SIGINT
        failure: GridError | None = None

        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            try:
                async with anyio.create_task_group() as tasks:

                    async def listen() -> None:
                        nonlocal received
                        received = await anext(signals)
                        tasks.cancel_scope.cancel()

                    tasks.start_soon(listen)
                    try:
                        await self.start()
                        announce()
                        await self.watch()
                    except GridError as error:
                        failure = error
                    tasks.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as tasks:

                        async def hurry() -> None:
                            async for number in signals:
                                self._signal(number)

                        tasks.start_soon(hurry)
                        await self.stop(received)
                        tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def start(self) -> None:
        """Start every service and return once all answer and every model is loaded.

        Raises:
            GridError: a service ended, or is not healthy within the time that its models may take to load.
        """
        regions_file = self._settings.home / "grid" / "regions.yaml"
        write_regions(regions_file, self.plan)
        environment = environment_for(
            {
                "home": self._settings.home,
                "regions_file": regions_file,
                # Nobody but the services of this run needs to know it.
                "internal_secret": self._settings.internal_secret or SecretStr(secrets.token_urlsafe(32)),
                "default_region": self.plan.regions[0].id,
                "edge_threads": self._settings.edge_threads or threads_per_edge(len(self.plan.edges)),
            }
        )
        deadline = time.monotonic() + self._settings.edge_worker_start_seconds + 30
        async with httpx.AsyncClient(trust_env=False, timeout=HEALTH_TIMEOUT_SECONDS) as client:
            # The autorouter comes last, so that its first look finds every edge as it is to be.
            for members in (self.plan.edges, (self.plan.autorouter,)):
                for member in members:
                    self._processes[member.name] = await _spawn(member, environment)
                for member in members:
                    while not await _healthy(client, member.url):
                        self.check()
                        if time.monotonic() > deadline:
                            raise GridError(f"{member.name} is not healthy{_see(member)}")
                        await anyio.sleep(POLL_SECONDS)

    def check(self) -> None:
        """See that every service that was started still runs.

        Raises:
            GridError: one has ended.
        """
        for member in self.plan.members:
            process = self._processes.get(member.name)
            if process is not None and process.returncode is not None:
                raise GridError(f"{member.name} ended with status {process.returncode}{_see(member)}")

    async def watch(self) -> None:
        """Wait until a service ends, and raise GridError for it."""
        while True:
            self.check()
            await anyio.sleep(POLL_SECONDS)

    async def stop(self, number: signal.Signals) -> None:
        """Pass *number* on to every service and wait for all to end; those that do not are killed."""
        running = self._signal(number)
        allowed = self._settings.drain_delay_seconds + self._settings.drain_seconds + STOP_MARGIN_SECONDS
        with anyio.move_on_after(allowed):
            for process in running:
                await process.wait()
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _signal(self, number: signal.Signals) -> list[asyncio.subprocess.Process]:
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            process.send_signal(number)
        return running


async def _spawn(member: Member, environment: dict[str, str]) -> asyncio.subprocess.Process:
    output: BinaryIO | None = None
    if member.log is not None:
        output = log_file.renew(member.log)
    try:
        # A session of its own: Ctrl-C reaches this process alone, which then tells the services in order.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nearedge", *member.arguments, "--end-with-parent", str(os.getpid())),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output or sys.stderr,
            stderr=output or sys.stderr,
            start_new_session=True,
        )
    finally:
        if output is not None:
            output.close()


async def _healthy(client: httpx.AsyncClient, url: str) -> bool:
    try:
        response = await client.get(f"{url}/health")
        return response.status_code == 200 and response.json()["status"] == "healthy"
    except httpx.TransportError:
        return False


def _see(member: Member) -> str:
    """Return the last line of the member's log and where the rest is."""
    if member.log is None:
        return "; its log above says why"
    last = log_file.last_line(member.log)
    return f"{f': {last}' if last else ''}{os.linesep}see {member.log}"
