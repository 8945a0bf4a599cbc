"""How fast two files of the same model are beside each other, on this machine and now."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import llama_cpp as c

from edge.engines.llama import Batch, Context, Model

ROUNDS = 5
"""Each runs both files in turn, so that whatever else the machine does meets both; the median counts."""

PROMPT = 128
ANSWER = 128
"""Tokens of the stream whose time is compared."""

STREAMS = 16


@dataclass(frozen=True, slots=True)
class Gain:
    """How many times faster a stream of 128 prompt tokens and 128 answered ones is, end to end."""

    alone: float
    crowd: float
    """With 16 streams at once."""

    @property
    def overall(self) -> float:
        return math.sqrt(self.alone * self.crowd)


class Runner:
    """Runs made-up tokens through one model; what they say does not change how long they take."""

    def __init__(self, model: Model, *, threads: int) -> None:
        params = c.llama_context_default_params()
        params.n_ctx = STREAMS * PROMPT
        params.n_seq_max = STREAMS
        params.n_batch = params.n_ubatch = PROMPT
        params.n_threads = params.n_threads_batch = threads
        self._context = Context(model, params)
        self._vocabulary = model.vocab_size
        self._batch = Batch(PROMPT)

    def prefill(self) -> float:
        """Return the seconds that one token of a prompt takes."""
        return self._timed(1, lambda _: self._add(0, PROMPT, position=0)) / PROMPT

    def decode(self, streams: int, steps: int) -> float:
        """Return the seconds of a step that gives each of *streams* a token."""

        def fill(step: int) -> None:
            for sequence in range(streams):
                self._add(sequence, 1, position=step)

        return self._timed(steps, fill) / steps

    def _timed(self, steps: int, fill: Callable[[int], None]) -> float:
        self._context.clear()
        started = time.perf_counter()
        for step in range(steps):
            self._batch.clear()
            fill(step)
            self._context.decode(self._batch.native)
            self._context.logits(1)
        return time.perf_counter() - started

    def _add(self, sequence: int, count: int, *, position: int) -> None:
        tokens = [(7919 * (position + i) + 31 * sequence) % self._vocabulary for i in range(count)]
        self._batch.add(tokens, position=position, sequence=sequence, output="last")

    def close(self) -> None:
        self._context.close()


def gain(original: Model, candidate: Model, *, threads: int) -> Gain:
    """Measure how much faster *candidate* is. Takes some seconds."""
    runners = [Runner(model, threads=threads) for model in (original, candidate)]
    try:
        for runner in runners:
            _stream_seconds(runner)
        rounds = [[_stream_seconds(runner) for runner in runners] for _ in range(ROUNDS)]
    finally:
        for runner in runners:
            runner.close()
    alone, crowd = (
        statistics.median(before[load] / after[load] for before, after in rounds) for load in range(2)
    )
    return Gain(alone, crowd)


def _stream_seconds(runner: Runner) -> tuple[float, float]:
    """Return how long a stream takes alone, and each of 16 together."""
    prefill, alone, crowd = runner.prefill(), runner.decode(1, 8), runner.decode(STREAMS, 4)
    return PROMPT * prefill + ANSWER * alone, STREAMS * PROMPT * prefill + ANSWER * crowd
