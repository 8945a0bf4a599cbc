"""What a report of usage costs as events grow."""

from collections.abc import Mapping
from contextlib import ExitStack

from benchmarks.autorouter.tools import require
from benchmarks.figures import ratio
from benchmarks.gateway import homes, servers
from benchmarks.gateway.bench import Asking, Bench
from benchmarks.grid import Point, grid
from benchmarks.report import Section, Sense, Target

FEW, MANY, MANY_SMOKE = 10_000, 10_000_000, 50_000
GOAL = 1.1
PATH = "/v1/usage"
POINT = "GET /v1/usage"


def run(bench: Bench) -> Section:
    """Measure edges on which one key made few and many calls."""
    require(["wrk", "taskset"])
    many = MANY_SMOKE if bench.smoke else MANY
    specs = []
    for count in (FEW, many):
        home = bench.scratch / f"usage-{count}"
        key = homes.make_home(home)
        (key_id,) = homes.key_ids(home)
        homes.add_usage(home, key_id, count)
        specs.append(servers.edge(home, key, name=f"{count:,} events"))
    few_name, many_name = (spec.name for spec in specs)
    points: dict[Point, Mapping[str, Asking]] = {
        POINT: {spec.name: Asking(bench.keys(spec.name, [spec.key]), 1, PATH, None) for spec in specs}
    }
    with ExitStack() as stack:
        running = [
            stack.enter_context(servers.serving(spec, bench.scratch, core=bench.cores.server))
            for spec in specs
        ]
        results = bench.interleave(running, points)
    middle = grid(results, lambda load: load.p50_ms)
    slow = grid(results, lambda load: load.p99_ms)
    return Section(
        workload="usage",
        reproduce=bench.reproduce("usage"),
        about=(
            f"A report of {homes.DAYS} days of one key with {len(homes.MODELS)} models, over one connection, "
            f"{bench.seconds} s each time. The sums by day are as so many calls leave them; of the records "
            f"of calls, {homes.MOST_EVENTS:,} are there at most."
        ),
        conditions=bench.conditions,
        tables=(middle.table("Latency p50, ms", "", 2), slow.table("Latency p99, ms", "", 2)),
        targets=(
            Target(
                f"latency p50 with {many_name} over that with {few_name}",
                ratio(middle.at(POINT, many_name), middle.at(POINT, few_name)),
                Sense.AT_MOST,
                GOAL,
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs},
        figures={"p50_ms": middle.values(), "p99_ms": slow.values()},
    )
