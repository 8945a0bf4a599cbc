"""Time from the start of the process to its first answer, and resident memory."""

import http.client
import time
from contextlib import closing
from dataclasses import dataclass

import psutil

from autorouter.settings import AutorouterSettings
from benchmarks.autorouter import servers
from benchmarks.autorouter.bench import Bench, Callers
from benchmarks.autorouter.product import GridState, Scope, chosen, grid_of
from benchmarks.autorouter.provinces import answer
from benchmarks.autorouter.servers import AUTOROUTER, Server, ServerSpec, started
from benchmarks.autorouter.tools import require
from benchmarks.figures import Figure, Ratio
from benchmarks.machine import QUIET, Look
from benchmarks.processes import BenchmarkError, tail
from benchmarks.report import Section, Sense, Table, Target
from shared import regions

GOAL_SECONDS = 1.0
GIVEN_UP_SECONDS = 60.0
POLL_SECONDS = 0.002
REQUESTS, REQUESTS_SMOKE = 100_000, 500
CALLERS, CALLERS_SMOKE = 50_000, 2_000
MIB = 1024**2
MEMORY_FILE = "/memfd:"
"""What the name of a mapping of memfd_create(2) begins with."""


@dataclass(frozen=True, slots=True)
class Memory:
    """In MiB: what is ``resident``, and what is ``taken`` in all. The latter has the files that are held in
    memory whole; of them, only pages that have been read are resident.
    """

    resident: float
    taken: float

    def __str__(self) -> str:
        return f"{self.resident:.1f}, {self.taken:.1f}"


def run(bench: Bench) -> Section:
    """Start each server once a round, and load it once."""
    require(["wrk", "taskset"])
    wanted = REQUESTS_SMOKE if bench.smoke else REQUESTS
    addresses = bench.draw(CALLERS_SMOKE if bench.smoke else CALLERS, "start", "callers")
    callers = bench.write_callers("start", addresses)
    specs = _specs(bench)
    seconds: dict[str, list[float]] = {spec.name: [] for spec in specs}
    memory: dict[str, tuple[Memory, Memory]] = {}
    bench.conditions = QUIET
    for number in range(bench.rounds):
        for spec in specs:
            bench.say(f"round {number + 1} of {bench.rounds}: {spec.name}")
            before = Look.take([], [])
            began = time.perf_counter()
            with started(spec, bench.scratch, core=bench.cores.server) as (server, log):
                while not _answers(server.port):
                    if not server.process.is_running() or time.perf_counter() - began > GIVEN_UP_SECONDS:
                        raise BenchmarkError(f"{spec.name} does not answer; its log ends with\n{tail(log)}")
                    time.sleep(POLL_SECONDS)
                seconds[spec.name].append(time.perf_counter() - began)
                bench.conditions = bench.conditions.worst(before.until(Look.take([server.process], [])))
                if spec.name not in memory:
                    memory[spec.name] = _loaded(bench, server, callers, wanted)
    figures = {name: Figure(tuple(found)) for name, found in seconds.items()}
    rows = tuple(
        (name, figure.show(3), str(memory[name][0]), str(memory[name][1])) for name, figure in figures.items()
    )
    ours = figures[AUTOROUTER]
    return Section(
        workload="start",
        reproduce=bench.reproduce("start"),
        about=(
            "From the start of the process (its interpreter too) to the first 200 of GET /v1/route, asked "
            f"every {POLL_SECONDS * 1000:g} ms; {bench.cores}. Memory is what is resident, and what is taken "
            "in all: the autorouter holds a copy of the GeoIP file in memory "
            f"({bench.geoip_file.stat().st_size / MIB:.1f} MiB; two of them for a moment when a new file "
            "comes in), of which only the pages that were read count as resident. "
            f"{wanted:,} requests come from {len(addresses):,} random callers."
        ),
        conditions=bench.conditions,
        tables=(
            Table(
                "Start in seconds: median (lowest to highest round); memory in MiB: resident, taken in all",
                ("", "first answer after", "memory then", f"memory after {wanted:,} requests"),
                rows,
            ),
        ),
        targets=(
            Target(
                "seconds from start to first answer",
                Ratio(ours.median, ours.low, ours.high),
                Sense.UNDER,
                GOAL_SECONDS,
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs if spec.name == AUTOROUTER},
        figures={
            "seconds": {name: list(figure.values) for name, figure in figures.items()},
            "memory_mib": {
                name: [[then.resident, then.taken] for then in found] for name, found in memory.items()
            },
        },
    )


def _specs(bench: Bench) -> list[ServerSpec]:
    default = chosen(None, Scope.COUNTRY, grid_of(regions.load(regions.default_path())), GridState())
    constant = answer(default, None, AutorouterSettings().route_ttl_seconds)
    return [bench.autorouter(), servers.bare(constant)]


def _answers(port: int) -> bool:
    with closing(http.client.HTTPConnection(servers.HOST, port, timeout=GIVEN_UP_SECONDS)) as connection:
        try:
            connection.request("GET", servers.PATH)
            return connection.getresponse().status == 200
        except OSError:
            return False


def _loaded(bench: Bench, server: Server, callers: Callers, wanted: int) -> tuple[Memory, Memory]:
    """Return the memory of *server* now, and after at least as many requests as are *wanted*."""
    now = memory_of(server.process)
    asked = 0
    while asked < wanted:
        asked += bench.put(server, callers, begin=asked).requests
    return now, memory_of(server.process)


def memory_of(process: psutil.Process) -> Memory:
    resident = process.memory_info().rss
    in_memory = [file for file in process.memory_maps() if file.path.startswith(MEMORY_FILE)]
    unread = sum(file.size - file.rss for file in in_memory)
    return Memory(resident / MIB, (resident + unread) / MIB)
