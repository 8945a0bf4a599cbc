"""Requests per second and added latency of a chat, beside the same app without accounts and LiteLLM."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from benchmarks.autorouter.load import Load
from benchmarks.autorouter.tools import require
from benchmarks.figures import ratio
from benchmarks.gateway import homes, litellm, servers
from benchmarks.gateway.bench import Asking, Bench
from benchmarks.gateway.edge import MODEL
from benchmarks.gateway.servers import LITELLM, NEAREDGE, WITHOUT
from benchmarks.grid import Grid, Point, grid
from benchmarks.report import Section, Sense, Table, Target

WITHOUT_GOAL = 0.85
LITELLM_GOAL = 5.0
ALONE = 1

QUANTITIES = {
    "per_second": ("Requests/s", 0),
    "p50_ms": ("Latency p50, ms", 2),
    "p99_ms": ("Latency p99, ms", 2),
    "cpu_us": ("Processor time of the server a request, microseconds", 0),
}


def run(bench: Bench) -> Section:
    """Measure; every server with all its processes has the same core."""
    require(["wrk", "taskset"])
    key = homes.make_home(bench.scratch / "home")
    config = bench.scratch / "litellm.yaml"
    specs = [
        servers.edge(bench.scratch / "home", key),
        servers.bare(bench.scratch / "bare"),
        servers.proxy(config),
    ]
    points: dict[Point, Mapping[str, Asking]] = {
        connections: {spec.name: Asking(bench.keys(spec.name, [spec.key]), connections) for spec in specs}
        for connections in (ALONE, bench.connections)
    }
    with ExitStack() as stack:
        stub_port = stack.enter_context(servers.stub(bench.scratch, core=bench.cores.load))
        litellm.write_config(config, MODEL, stub_port)
        running = [
            stack.enter_context(servers.serving(spec, bench.scratch, core=bench.cores.server))
            for spec in specs
        ]
        results = bench.interleave(running, points)
    grids = {name: grid(results, _getter(name)) for name in QUANTITIES}
    return Section(
        workload="throughput",
        reproduce=bench.reproduce("throughput"),
        about=(
            f"A chat of one message with a key that has limits, of a prepaid tenant, over 1 and "
            f"{bench.connections} connections, {bench.seconds} s a measurement; {bench.cores}. The model "
            "answers at once: for the edge in its worker process on the server's core, for LiteLLM over "
            "HTTP on the load's. LiteLLM has its master key and no database."
        ),
        conditions=bench.conditions,
        tables=(
            *(
                grids[name].table(title, "connections", digits)
                for name, (title, digits) in QUANTITIES.items()
            ),
            added(grids["p50_ms"], grids["p99_ms"]),
        ),
        targets=tuple(targets(grids["per_second"], bench.connections)),
        servers={spec.name: spec.shown() for spec in specs},
        figures={name: found.values() for name, found in grids.items()},
    )


def _getter(name: str) -> Callable[[Load], float]:
    def get(load: Load) -> float:
        value: float = getattr(load, name)
        return value

    return get


def added(middle: Grid, slow: Grid) -> Table:
    """Return what accounts, and LiteLLM, add to the latency of the app without accounts at one connection."""
    rows = tuple(
        (
            name,
            *(
                f"{found.at(ALONE, name).median - found.at(ALONE, WITHOUT).median:.2f}"
                for found in (middle, slow)
            ),
        )
        for name in (NEAREDGE, LITELLM)
    )
    return Table("Latency added to that without accounts, one connection, ms", ("", "p50", "p99"), rows)


def targets(speeds: Grid, connections: int) -> list[Target]:
    ours = speeds.at(connections, NEAREDGE)
    return [
        Target(
            "requests/s over the same app without accounts",
            ratio(ours, speeds.at(connections, WITHOUT)),
            Sense.AT_LEAST,
            WITHOUT_GOAL,
        ),
        Target(
            "requests/s over LiteLLM",
            ratio(ours, speeds.at(connections, LITELLM)),
            Sense.AT_LEAST,
            LITELLM_GOAL,
        ),
    ]
