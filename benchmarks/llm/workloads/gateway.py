"""What the gateway adds: its processor time per token, and the time from engine to socket."""

from dataclasses import dataclass

import httpx
import psutil

from benchmarks.figures import percentile
from benchmarks.grid import Point, grid
from benchmarks.llm.bench import Bench
from benchmarks.llm.burst import burst, burst_prompts, size_of
from benchmarks.llm.client import HOST
from benchmarks.llm.servers import NEAREDGE, Server
from benchmarks.llm.traced_edge import PATH
from benchmarks.processes import BenchmarkError
from benchmarks.report import Section, Table

STREAMS = 16
DELAYS_SECONDS = 30.0
TRACED = "nearedge traced"


@dataclass(frozen=True, slots=True)
class Share:
    """Times in milliseconds; those from engine to socket are 0 for an edge that is not traced."""

    cpu_seconds_per_thousand: float
    tokens_per_second: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def run(bench: Bench) -> Section:
    """Measure processor time on an edge as it is, and the way of each token on one that is traced."""
    size = size_of(bench)
    specs = [bench.edge(), bench.traced_edge()]

    async def load(server: Server, *, point: Point, number: int) -> Share:
        _take_delays(server)
        prompts = burst_prompts(bench, int(point), number)
        before = _own_seconds(server.process)
        found = await burst(server, prompts, size.new_tokens)
        seconds = _own_seconds(server.process) - before
        per_thousand = seconds / (STREAMS * size.new_tokens) * 1000
        delays = _take_delays(server)
        if server.name != TRACED:
            return Share(per_thousand, found.tokens_per_second)
        if not delays:
            raise BenchmarkError("no event of the worker told when its token was made")
        return Share(per_thousand, found.tokens_per_second, percentile(delays, 50), percentile(delays, 99))

    with bench.servers(specs) as servers:
        results = bench.interleave(servers, [STREAMS], load)
    cpu = grid(results, lambda found: found.cpu_seconds_per_thousand)
    speed = grid(results, lambda found: found.tokens_per_second)
    middle = grid(results, lambda found: found.p50_ms)
    slow = grid(results, lambda found: found.p99_ms)
    rows = (
        ("CPU seconds of the gateway process per 1,000 tokens", cpu.at(STREAMS, NEAREDGE).show(3)),
        ("engine to socket, p50, ms", middle.at(STREAMS, TRACED).show(2)),
        ("engine to socket, p99, ms", slow.at(STREAMS, TRACED).show(2)),
        ("tokens/s meanwhile", speed.at(STREAMS, NEAREDGE).show()),
        ("tokens/s meanwhile, traced", speed.at(STREAMS, TRACED).show()),
    )
    return Section(
        workload="gateway",
        reproduce=bench.reproduce("gateway"),
        tables=(Table(f"The gateway at {STREAMS} streams", ("", "median (lowest to highest)"), rows),),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f"{size}, on {bench.served.name}. "
            "Engine to socket: from the moment a token was drawn in the worker to the return of the call "
            "that gave its bytes to the socket."
        ),
        conditions=bench.conditions,
        figures={
            "cpu_seconds_per_thousand_tokens": cpu.values(),
            "engine_to_socket_p50_ms": middle.values(),
            "engine_to_socket_p99_ms": slow.values(),
            "tokens_per_second": speed.values(),
        },
    )


def _own_seconds(process: psutil.Process) -> float:
    """Return the processor time of *process* itself, its workers' not included."""
    times = process.cpu_times()
    return times.user + times.system


def _take_delays(server: Server) -> list[float]:
    if server.name != TRACED:
        return []
    answer = httpx.get(f"http://{HOST}:{server.port}{PATH}", trust_env=False, timeout=DELAYS_SECONDS)
    delays: list[float] = answer.raise_for_status().json()
    return delays
