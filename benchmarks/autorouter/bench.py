"""What every workload is given, and how its rounds are interleaved."""

import random
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import maxminddb

from autorouter.place import Place
from benchmarks.autorouter import dnsperf, servers, wrk
from benchmarks.autorouter.addresses import Address, random_callers
from benchmarks.autorouter.cores import Cores
from benchmarks.autorouter.load import Load
from benchmarks.autorouter.product import open_geoip
from benchmarks.autorouter.servers import Server, ServerSpec, serving
from benchmarks.figures import percentile
from benchmarks.grid import Point
from benchmarks.machine import QUIET, Conditions, Look, cpu_seconds

T = TypeVar("T")

LATENCY_SHARE = 4
"""The run that takes the latencies over DNS lasts so many times less than the one that takes the rate."""


@dataclass(frozen=True, slots=True)
class Callers:
    """Who asks, written down for each way of asking. ``queries`` is None where nobody asks over DNS."""

    addresses: Path
    count: int
    queries: Path | None = None


@dataclass(slots=True)
class Bench:
    """One run. Each measurement lasts ``seconds`` and keeps ``connections`` busy."""

    rounds: int
    seed: int
    seconds: int
    connections: int
    smoke: bool
    """A load so small that its numbers mean nothing: it shows that everything works."""
    geoip_file: Path
    cores: Cores
    scratch: Path
    say: Callable[[str], None]
    conditions: Conditions = field(default=QUIET)

    def reproduce(self, workload: str) -> str:
        """Return the command that measures *workload* again."""
        words = ["python", "-m", "benchmarks.autorouter", workload, "--rounds", str(self.rounds)]
        words += ["--seconds", str(self.seconds), "--connections", str(self.connections)]
        words += ["--seed", str(self.seed)]
        words += ["--smoke"] if self.smoke else []
        return shlex.join(words)

    # Callers

    def source(self, *purpose: object) -> random.Random:
        """Return the chance for one *purpose*: the same in every run with the same seed."""
        return random.Random("/".join(map(str, (self.seed, *purpose))))

    def draw(self, count: int, *purpose: object) -> list[Address]:
        """Return *count* random public addresses."""
        with maxminddb.open_database(self.geoip_file) as reader:
            return list(islice(random_callers(reader, self.source(*purpose)), count))

    def places(self, *purpose: object) -> Iterator[Place]:
        """Yield, without end, where random public addresses of which that is known are."""
        with (
            maxminddb.open_database(self.geoip_file) as reader,
            closing(open_geoip(self.geoip_file)) as geoip,
        ):
            for address in random_callers(reader, self.source(*purpose)):
                place = geoip.place(address)
                if place is not None:
                    yield place

    def write_callers(
        self, name: str, addresses: Sequence[Address], *, dns_name: str | None = None
    ) -> Callers:
        """Write *addresses* below the scratch directory, and queries for *dns_name* if it is given."""
        file = self.scratch / f"{name}.txt"
        file.write_text("".join(f"{address}\n" for address in addresses), "utf-8")
        queries = None
        if dns_name is not None:
            queries = dnsperf.write_queries(dns_name, addresses, self.scratch / f"{name}.queries")
        return Callers(file, len(addresses), queries)

    # Servers

    def autorouter(self, *, regions_file: Path | None = None, name: str = servers.AUTOROUTER) -> ServerSpec:
        return servers.autorouter(
            self.scratch / "home", self.geoip_file, regions_file=regions_file, name=name
        )

    @contextmanager
    def servers(self, specs: Sequence[ServerSpec]) -> Iterator[list[Server]]:
        """Start *specs* side by side; only one of them has work at a time."""
        self.conditions = QUIET
        self.say(f"starting {', '.join(spec.name for spec in specs)}")
        with serving(specs, self.scratch, core=self.cores.server) as running:
            yield running

    def put(self, server: Server, callers: Callers, *, begin: int = 0, seconds: int | None = None) -> Load:
        """Have *callers* ask *server*, and return what came of it with the server's processor time.

        Raises:
            BenchmarkError: not every request was answered.
        """
        seconds = self.seconds if seconds is None else seconds
        before = cpu_seconds(server.process)
        if callers.queries is None or server.spec.dns_name is None:
            load = wrk.ask(
                server.url,
                callers.addresses,
                begin=begin % callers.count,
                seconds=seconds,
                connections=self.connections,
                core=self.cores.load,
            )
            return replace(load, cpu_us=(cpu_seconds(server.process) - before) / load.requests * 1e6)
        options = {"outstanding": self.connections, "core": self.cores.load}
        load = dnsperf.rate(server.port, callers.queries, seconds=seconds, **options)
        spent = cpu_seconds(server.process) - before
        taken = dnsperf.latencies(
            server.port, callers.queries, seconds=max(1, seconds // LATENCY_SHARE), **options
        )
        return replace(
            load,
            p50_ms=percentile(taken, 50) * 1000,
            p99_ms=percentile(taken, 99) * 1000,
            cpu_us=spent / load.requests * 1e6,
        )

    # Rounds

    def run(self, server: Server, others: Sequence[Server], load: Callable[[], T]) -> T:
        """Put *load* on *server* while the *others* idle, and note how quiet the machine was."""
        idle = [other.process for other in others if other is not server]
        before = Look.take([server.process], idle)
        result = load()
        self.conditions = self.conditions.worst(before.until(Look.take([server.process], idle)))
        return result

    def interleave(
        self, running: Sequence[Server], points: dict[Point, Callers]
    ) -> dict[Point, dict[str, list[Load]]]:
        """Let the callers of every point ask every server in every round.

        Within a round each point is measured on every server in turn, in an order that differs from round
        to round, so that whatever drifts on the machine meets all of them alike. Before the first round
        each server is warmed up.
        """
        for server in running:
            for callers in points.values():
                self.put(server, callers, seconds=1)
        self.conditions = QUIET
        results: dict[Point, dict[str, list[Load]]] = {
            point: {server.name: [] for server in running} for point in points
        }
        for number in range(self.rounds):
            for point, callers in points.items():
                order = list(running)
                self.source("order", number, point).shuffle(order)
                begin = number * callers.count // self.rounds
                for server in order:
                    self.say(f"round {number + 1} of {self.rounds}: {point}: {server.name}")

                    def load(server: Server = server, callers: Callers = callers, begin: int = begin) -> Load:
                        return self.put(server, callers, begin=begin)

                    results[point][server.name].append(self.run(server, running, load))
        return results
