"""Runs the engine in this process, without a gateway, and tells what its steps spend outside of llama.cpp.

``python -m benchmarks.llm.step_loop ORDER RESULT`` reads the JSON file ORDER and writes the JSON file RESULT.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Conditions, Look
from edge.workers.child import SPIN_COUNT
from edge.workers.messages import Event, Generate, Generated

JOB_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: every list of *rounds* holds the prompts that run at the same time."""

    file: str
    options: dict[str, Any]
    ends: list[int]
    new_tokens: int
    rounds: list[list[str]]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took, in seconds; ``inside`` of ``llama_decode``, ``busy`` in steps altogether."""

    steps: int
    inside: float
    busy: float
    tokens_per_second: float
    conditions: Conditions

    @property
    def outside_share(self) -> float:
        return 1.0 - self.inside / self.busy


def run(order: Order) -> list[Round]:
    """Load the model and run every round of *order*; the first is a warm-up, and is left out."""
    from edge.engines.llm import load

    engine = load({"model": Path(order.file)}, order.options)
    rounds = []
    for prompts in order.rounds:
        clock = engine.timing
        steps, inside, busy = clock.steps, clock.decode_seconds, clock.total_seconds
        before = Look.take([], [])
        started = time.perf_counter()
        _answer(engine, order, prompts)
        seconds = time.perf_counter() - started
        conditions = before.until(Look.take([], []))
        clock = engine.timing
        rounds.append(
            Round(
                clock.steps - steps,
                clock.decode_seconds - inside,
                clock.total_seconds - busy,
                len(prompts) * order.new_tokens / seconds,
                conditions,
            )
        )
    return rounds[1:]


def _answer(engine: Any, order: Order, prompts: Sequence[str]) -> None:
    from edge.engines.base import Job

    left = threading.Semaphore(0)
    failures: list[BaseException] = []
    ends: list[Generated] = []

    def emit(event: Event) -> None:
        if isinstance(event, Generated):
            ends.append(event)

    def done(error: BaseException | None) -> None:
        if error is not None:
            failures.append(error)
        left.release()

    for prompt in prompts:
        engine.submit(
            Job(
                Generate(
                    prompt=prompt,
                    max_tokens=order.new_tokens,
                    temperature=0.0,
                    logit_bias=[(token, -100.0) for token in order.ends],
                ),
                emit,
                done,
            )
        )
    for _ in prompts:
        if not left.acquire(timeout=JOB_SECONDS):
            raise TimeoutError(f"the engine did not answer within {JOB_SECONDS:g} s")
    if failures:
        raise failures[0]
    if any(end.completion_tokens != order.new_tokens for end in ends):
        raise ValueError(f"an answer has not the {order.new_tokens} tokens that were asked for")


def main() -> int:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # as in a worker process
    order_file, result_file = map(Path, sys.argv[1:])
    order = Order(**json.loads(order_file.read_text("utf-8")))
    rounds = [asdict(found) for found in run(order)]
    result_file.write_text(json.dumps(rounds), "utf-8")
    os._exit(0)  # as a worker process does: native threads may keep an ordered exit waiting


if __name__ == "__main__":
    sys.exit(main())
