"""What a chat costs as keys grow."""

from collections.abc import Mapping
from contextlib import ExitStack

from benchmarks.autorouter.tools import require
from benchmarks.figures import ratio
from benchmarks.gateway import homes, servers
from benchmarks.gateway.bench import Asking, Bench
from benchmarks.grid import Point, grid
from benchmarks.report import Section, Sense, Target

FEW, MANY, MANY_SMOKE = 10, 1_000_000, 1_000
CALLERS = 10
CROWD = 10_000
GOAL = 0.95
SAME, CROWDED = f"{CALLERS} callers", f"{CROWD:,} callers"


def run(bench: Bench) -> Section:
    """Measure edges with few and with many keys, asked with ten of them, and the second with very many."""
    require(["wrk", "taskset"])
    many = MANY_SMOKE if bench.smoke else MANY
    specs, shown = [], {}
    for count in (FEW, many):
        home = bench.scratch / f"home-{count}"
        key = homes.make_home(home)
        spec = servers.edge(home, key, name=f"{count:,} keys")
        shown[spec.name] = homes.add_keys(home, count, CROWD)
        specs.append(spec)
    few_name, many_name = (spec.name for spec in specs)
    points: dict[Point, Mapping[str, Asking]] = {
        SAME: {
            name: Asking(bench.keys(name, keys[:CALLERS]), bench.connections) for name, keys in shown.items()
        },
        CROWDED: {
            name: Asking(bench.keys(f"{name} all", keys), bench.connections) for name, keys in shown.items()
        },
    }
    with ExitStack() as stack:
        running = [
            stack.enter_context(servers.serving(spec, bench.scratch, core=bench.cores.server))
            for spec in specs
        ]
        results = bench.interleave(running, points)
    speeds = grid(results, lambda load: load.per_second)
    middle = grid(results, lambda load: load.p50_ms)
    return Section(
        workload="keys",
        reproduce=bench.reproduce("keys"),
        about=(
            f"The chat of `throughput` over {bench.connections} connections, {bench.seconds} s each time, "
            f"by {CALLERS} keys in turn, and by {CROWD:,} (where there are only {FEW}, by those)."
        ),
        conditions=bench.conditions,
        tables=(speeds.table("Requests/s", "", 0), middle.table("Latency p50, ms", "", 2)),
        targets=(
            Target(
                f"requests/s with {many_name} over those with {few_name}",
                ratio(speeds.at(SAME, many_name), speeds.at(SAME, few_name)),
                Sense.AT_LEAST,
                GOAL,
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs},
        figures={"per_second": speeds.values(), "p50_ms": middle.values()},
    )
