"""What the engine's step loop spends outside of ``llama_decode``, measured in a process without a gateway."""

import json
import os
import sys
from dataclasses import asdict
from functools import reduce

import psutil

from benchmarks.figures import Figure, Ratio
from benchmarks.llm.bench import Bench
from benchmarks.llm.burst import burst_prompts, size_of
from benchmarks.llm.step_loop import Order, Round
from benchmarks.machine import QUIET, Conditions
from benchmarks.processes import BenchmarkError, running, shown, tail
from benchmarks.report import Section, Sense, Table, Target

STREAMS = 16
GOAL = 0.05
LOAD_SECONDS = 120.0
ROUND_SECONDS = 300.0
WARM_UP = -1
"""Stands for the round before the first, which is not counted."""


def run(bench: Bench) -> Section:
    """Measure every round in one process."""
    size = size_of(bench)
    order = Order(
        file=str(bench.served),
        options=dict(bench.options),
        ends=list(bench.vocabulary.ends),
        new_tokens=size.new_tokens,
        rounds=[burst_prompts(bench, STREAMS, number) for number in (WARM_UP, *range(bench.rounds))],
    )
    bench.say(f"the step loop, {bench.rounds} rounds in a process of its own")
    command, rounds = _measure(bench, order)
    outside = Figure(tuple(found.outside_share for found in rounds))
    step = Figure(tuple(found.busy / found.steps * 1000 for found in rounds))
    speed = Figure(tuple(found.tokens_per_second for found in rounds))
    conditions = reduce(Conditions.worst, (found.conditions for found in rounds), QUIET)
    rows = (
        (
            "share of a step outside of llama_decode, %",
            Figure(tuple(v * 100 for v in outside.values)).show(2),
        ),
        ("a step, ms", step.show(2)),
        ("tokens/s", speed.show()),
    )
    return Section(
        workload="steps",
        reproduce=bench.reproduce("steps"),
        tables=(Table(f"The step loop at {STREAMS} streams", ("", "median (lowest to highest)"), rows),),
        targets=(
            Target(
                f"share of a step outside of llama_decode at {STREAMS} streams",
                Ratio(outside.median, outside.low, outside.high),
                Sense.UNDER,
                GOAL,
            ),
        ),
        servers={"step loop": command},
        about=(f"{size}, on {bench.served.name}; prefill steps count too."),
        conditions=conditions,
        figures={
            "outside_share": list(outside.values),
            "step_ms": list(step.values),
            "tokens_per_second": list(speed.values),
        },
    )


def _measure(bench: Bench, order: Order) -> tuple[str, list[Round]]:
    order_file, result_file = bench.scratch / "step-order.json", bench.scratch / "step-result.json"
    order_file.write_text(json.dumps(asdict(order)), "utf-8")
    command = [sys.executable, "-m", "benchmarks.llm.step_loop", str(order_file), str(result_file)]
    log = bench.scratch / "step-loop.log"
    with running(command, environment=dict(os.environ), log=log) as process:
        try:
            status = process.wait(LOAD_SECONDS + ROUND_SECONDS * len(order.rounds))
        except psutil.TimeoutExpired:
            raise BenchmarkError("the step loop did not end in time") from None
    if status != 0:
        raise BenchmarkError(f"the step loop ended with {status}; its log ends with\n{tail(log)}")
    found = json.loads(result_file.read_text("utf-8"))
    rounds = [Round(**{**item, "conditions": Conditions(**item["conditions"])}) for item in found]
    return shown(command), rounds
