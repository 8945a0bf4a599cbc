"""Tokens per second and time to first token at 1 to 16 streams, beside both peers."""

from collections.abc import Sequence

from benchmarks.figures import ratio
from benchmarks.grid import Grid, Point, grid
from benchmarks.llm.bench import EIGHT_BIT_KEYS, Bench
from benchmarks.llm.burst import FULL, Burst, burst, burst_prompts, size_of
from benchmarks.llm.servers import BUNDLED, NEAREDGE, Server
from benchmarks.report import Section, Sense, Target

STREAMS = (1, 2, 4, 8, 16)
CONTEXT = 16 * (FULL.prompt_tokens + FULL.new_tokens) * 2
BUNDLED_GOAL = 2.0
BUNDLED_FROM = 4
"""Streams from which the bundled server, which serves one at a time, is to be left behind."""


def run(bench: Bench) -> Section:
    """Measure; ``llama-server`` runs in four settings, and at each point its best one counts."""
    size = size_of(bench)
    common = ("-np", 16, "-c", CONTEXT)
    rivals = [
        bench.llama_server("split", *common),
        bench.llama_server("split, no prompt cache", *common, "--cache-ram", 0),
        bench.llama_server("split, 8-bit keys", *common, *EIGHT_BIT_KEYS),
        bench.llama_server("unified", *common, "--kv-unified"),
    ]
    specs = [bench.edge(), *rivals, bench.bundled()]

    async def load(server: Server, *, point: Point, number: int) -> Burst:
        return await burst(server, burst_prompts(bench, int(point), number), size.new_tokens)

    with bench.servers(specs) as servers:
        results = bench.interleave(servers, STREAMS[:2] if bench.smoke else STREAMS, load)
    speeds = grid(results, lambda found: found.tokens_per_second)
    firsts = grid(results, lambda found: found.first_ms)
    return Section(
        workload="throughput",
        reproduce=bench.reproduce("throughput"),
        tables=(
            speeds.table("Tokens/s of all streams together", "streams"),
            firsts.table("Median time to first token, ms", "streams"),
        ),
        targets=tuple(targets(speeds, firsts, [rival.name for rival in rivals])),
        servers={spec.name: spec.shown() for spec in specs},
        about=(f"{size}, on {bench.served.name}."),
        conditions=bench.conditions,
        figures={"tokens_per_second": speeds.values(), "first_token_ms": firsts.values()},
    )


def targets(speeds: Grid, firsts: Grid, rivals: Sequence[str]) -> list[Target]:
    """Compare Nearedge with the best of *rivals* at each point, and with the bundled server."""
    found = []
    for point in speeds.figures:
        where = f"{point} stream{'s' if point != 1 else ''}"
        speed, first = speeds.at(point, NEAREDGE), firsts.at(point, NEAREDGE)
        found += [
            Target(
                f"{where}, tokens/s over llama-server's best",
                ratio(speed, speeds.highest(point, rivals)),
                Sense.AT_LEAST,
                1.0,
            ),
            Target(
                f"{where}, time to first token over llama-server's best",
                ratio(first, firsts.lowest(point, rivals)),
                Sense.AT_MOST,
                1.0,
            ),
        ]
        if int(point) >= BUNDLED_FROM:
            found.append(
                Target(
                    f"{where}, tokens/s over the bundled server's",
                    ratio(speed, speeds.at(point, BUNDLED)),
                    Sense.AT_LEAST,
                    BUNDLED_GOAL,
                )
            )
    return found
