"""Requests that arrive at random: how long running streams stand still, and how long each takes."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import ratio
from benchmarks.grid import Point, grid
from benchmarks.llm.bench import Bench
from benchmarks.llm.client import Answer
from benchmarks.llm.prompts import Arrival, poisson_arrivals
from benchmarks.llm.servers import NEAREDGE, Server
from benchmarks.report import Section, Sense, Table, Target

REQUESTS = 30
SMOKE_REQUESTS = 3
PER_SECOND = 1.0
PROMPT_TOKENS = (32, 900)
NEW_TOKENS = (64, 128)
SLOTS = 16
CONTEXT = SLOTS * 1152
"""For llama-server: the longest prompt and answer in each of its slots."""

BATCHES = ((2048, 512), (512, 512), (256, 256), (128, 128))
"""Logical and physical batch sizes of llama-server; the first is its default."""

GAP_GOAL = 0.7
END_TO_END_GOAL = 1.0
POINT = "arrivals"


@dataclass(frozen=True, slots=True)
class Arrived:
    """``gap_ms`` is the longest gap between two pieces of a running stream, ``typical_gap_ms`` the median of
    each stream's longest; ``end_to_end_ms`` the median from a request to its last token."""

    gap_ms: float
    typical_gap_ms: float
    end_to_end_ms: float
    first_ms: float


def summarise(answers: Sequence[Answer]) -> Arrived:
    gaps = [answer.longest_gap_seconds for answer in answers]
    return Arrived(
        gap_ms=max(gaps) * 1000,
        typical_gap_ms=statistics.median(gaps) * 1000,
        end_to_end_ms=statistics.median(answer.arrivals[-1] - answer.asked for answer in answers) * 1000,
        first_ms=statistics.median(answer.first_seconds for answer in answers) * 1000,
    )


def run(bench: Bench) -> Section:
    """Measure; ``llama-server`` runs with four batch sizes, and the one with the shortest gap counts."""
    rivals = [
        bench.llama_server(
            f"-b {batch} -ub {physical}", "-np", SLOTS, "-c", CONTEXT, "-b", batch, "-ub", physical
        )
        for batch, physical in BATCHES
    ]
    specs = [bench.edge(), *rivals]
    requests = SMOKE_REQUESTS if bench.smoke else REQUESTS
    prompts = bench.prompts()

    async def load(server: Server, *, point: Point, number: int) -> Arrived:
        schedule = poisson_arrivals(
            bench.seed,
            number,
            count=requests,
            per_second=PER_SECOND,
            prompt_tokens=PROMPT_TOKENS,
            new_tokens=NEW_TOKENS,
        )
        texts = [
            prompts.text(arrival.prompt_tokens, point, number, index)
            for index, arrival in enumerate(schedule)
        ]
        async with asyncio.TaskGroup() as streams:
            tasks = [
                streams.create_task(_later(server, arrival, text))
                for arrival, text in zip(schedule, texts, strict=True)
            ]
        return summarise([task.result() for task in tasks])

    with bench.servers(specs) as servers:
        results = bench.interleave(servers, [POINT], load)
    columns = {
        "longest gap, ms": grid(results, lambda found: found.gap_ms),
        "median stream's longest gap, ms": grid(results, lambda found: found.typical_gap_ms),
        "end to end p50, ms": grid(results, lambda found: found.end_to_end_ms),
        "time to first token p50, ms": grid(results, lambda found: found.first_ms),
    }
    gaps, ends = columns["longest gap, ms"], columns["end to end p50, ms"]
    best = min((rival.name for rival in rivals), key=lambda name: gaps.at(POINT, name).median)
    return Section(
        workload="poisson",
        reproduce=bench.reproduce("poisson"),
        tables=(
            Table(
                "Median (lowest to highest round)",
                ("", *columns),
                tuple(
                    (spec.name, *(found.at(POINT, spec.name).show() for found in columns.values()))
                    for spec in specs
                ),
            ),
        ),
        targets=(
            Target(
                f"longest gap over that of {best}",
                ratio(gaps.at(POINT, NEAREDGE), gaps.at(POINT, best)),
                Sense.AT_MOST,
                GAP_GOAL,
            ),
            Target(
                f"end to end p50 over that of {best}",
                ratio(ends.at(POINT, NEAREDGE), ends.at(POINT, best)),
                Sense.AT_MOST,
                END_TO_END_GOAL,
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f"{requests} requests, {PER_SECOND:g} a second on average, at the same moments for every server; "
            f"prompts of {PROMPT_TOKENS[0]} to {PROMPT_TOKENS[1]} tokens, answers of {NEW_TOKENS[0]} to "
            f"{NEW_TOKENS[1]}; greedy, on {bench.served.name}."
        ),
        conditions=bench.conditions,
        figures={name: found.values() for name, found in columns.items()},
    )


async def _later(server: Server, arrival: Arrival, text: str) -> Answer:
    await asyncio.sleep(arrival.at)
    return await server.complete(text, arrival.new_tokens)
