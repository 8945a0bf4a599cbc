"""Many streams that start at once."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.llm.bench import Bench
from benchmarks.llm.client import Answer
from benchmarks.llm.servers import Server


@dataclass(frozen=True, slots=True)
class Size:
    """The length of every prompt and every answer of a burst."""

    prompt_tokens: int
    new_tokens: int

    def __str__(self) -> str:
        return f"{self.prompt_tokens} prompt and {self.new_tokens} new tokens a stream, greedy"


FULL = Size(prompt_tokens=128, new_tokens=128)
SMOKE = Size(prompt_tokens=16, new_tokens=8)


def size_of(bench: Bench) -> Size:
    return SMOKE if bench.smoke else FULL


@dataclass(frozen=True, slots=True)
class Burst:
    """``tokens_per_second`` of all streams together, from the first request to the last token;
    ``first_ms`` is the median time to first token."""

    tokens_per_second: float
    first_ms: float


async def burst(server: Server, prompts: Sequence[str], new_tokens: int) -> Burst:
    """Send all *prompts* at once and return what came of it; every answer has *new_tokens* tokens."""
    async with asyncio.TaskGroup() as streams:
        tasks = [streams.create_task(server.complete(prompt, new_tokens)) for prompt in prompts]
    return summarise([task.result() for task in tasks], new_tokens)


def summarise(answers: Sequence[Answer], new_tokens: int) -> Burst:
    start = min(answer.asked for answer in answers)
    end = max(answer.arrivals[-1] for answer in answers)
    return Burst(
        tokens_per_second=len(answers) * new_tokens / (end - start),
        first_ms=statistics.median(answer.first_seconds for answer in answers) * 1000,
    )


def burst_prompts(bench: Bench, streams: int, number: int) -> list[str]:
    """Return the prompts of round *number*, the same for every server."""
    prompts, tokens = bench.prompts(), size_of(bench).prompt_tokens
    return [prompts.text(tokens, "burst", streams, number, stream) for stream in range(streams)]
