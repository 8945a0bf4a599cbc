"""Callers who share a system prompt and take several turns each: how soon the answers begin."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.figures import ratio
from benchmarks.grid import Point, grid
from benchmarks.llm.bench import EIGHT_BIT_KEYS, Bench
from benchmarks.llm.client import Answer
from benchmarks.llm.servers import NEAREDGE, Server
from benchmarks.report import Section, Sense, Table, Target

SLOT_TOKENS = 1280
"""For llama-server: a whole conversation of about 1,000 tokens in each of its slots."""

GOAL = 0.4
POINT = "all turns"


@dataclass(frozen=True, slots=True)
class Size:
    """How many talk how often, and the lengths of what is said in tokens."""

    callers: int = 8
    turns: int = 5
    system: int = 512
    user: int = 32
    answer: int = 32


SMOKE = Size(callers=2, turns=2, system=64, user=16, answer=8)


@dataclass(frozen=True, slots=True)
class Chats:
    """``answers`` are by caller and turn; ``seconds`` is what all took together."""

    answers: tuple[tuple[Answer, ...], ...]
    seconds: float

    def first_ms(self, turn: int | None = None) -> float:
        """Return the median time to first token of one *turn*, from 0 up, or of all."""
        chosen = [
            answer
            for caller in self.answers
            for number, answer in enumerate(caller)
            if turn is None or number == turn
        ]
        return statistics.median(answer.first_seconds for answer in chosen) * 1000


async def converse(
    server: Server, system: str, questions: Sequence[str], answer_tokens: int
) -> tuple[Answer, ...]:
    """Ask *questions* one after the other, with all that was said before them."""
    said = [{"role": "system", "content": system}]
    answers = []
    for question in questions:
        said.append({"role": "user", "content": question})
        answer = await server.chat(said, answer_tokens)
        said.append({"role": "assistant", "content": answer.text})
        answers.append(answer)
    return tuple(answers)


def run(bench: Bench) -> Section:
    """Measure; ``llama-server`` keeps its prompt cache as it comes, and its best KV layout counts."""
    size = SMOKE if bench.smoke else Size()
    common = ("-np", size.callers, "-c", size.callers * SLOT_TOKENS)
    rivals = [
        bench.llama_server("split", *common),
        bench.llama_server("split, 8-bit keys", *common, *EIGHT_BIT_KEYS),
        bench.llama_server("unified", *common, "--kv-unified"),
    ]
    specs = [bench.edge(), *rivals]
    prompts = bench.prompts()

    async def load(server: Server, *, point: Point, number: int) -> Chats:
        system = prompts.text(size.system, point, number)
        asked = [
            [prompts.text(size.user, point, number, caller, turn) for turn in range(size.turns)]
            for caller in range(size.callers)
        ]
        async with asyncio.TaskGroup() as callers:
            tasks = [
                callers.create_task(converse(server, system, questions, size.answer)) for questions in asked
            ]
        answers = tuple(task.result() for task in tasks)
        start = min(answer.asked for caller in answers for answer in caller)
        end = max(answer.arrivals[-1] for caller in answers for answer in caller)
        return Chats(answers, end - start)

    with bench.servers(specs) as servers:
        results = bench.interleave(servers, [POINT], load)
    firsts = grid(results, lambda found: found.first_ms())
    turns = {turn: grid(results, partial(Chats.first_ms, turn=turn)) for turn in range(size.turns)}
    lasting = grid(results, lambda found: found.seconds)
    names = [spec.name for spec in specs]
    rows = (
        (
            name,
            firsts.at(POINT, name).show(),
            *(turns[turn].at(POINT, name).show() for turn in range(size.turns)),
            lasting.at(POINT, name).show(1),
        )
        for name in names
    )
    return Section(
        workload="chat",
        reproduce=bench.reproduce("chat"),
        tables=(
            Table(
                "Median time to first token, ms: median (lowest to highest round)",
                (
                    "",
                    POINT,
                    "turn 1, cold",
                    *(f"turn {turn + 1}" for turn in range(1, size.turns)),
                    "in all, s",
                ),
                tuple(rows),
            ),
        ),
        targets=(
            Target(
                "time to first token over llama-server's best",
                ratio(firsts.at(POINT, NEAREDGE), firsts.lowest(POINT, [rival.name for rival in rivals])),
                Sense.AT_MOST,
                GOAL,
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f"{size.callers} callers start at once and take {size.turns} turns each; a system prompt of "
            f"{size.system} tokens, new in each round, is common to all; questions of {size.user}, "
            f"answers of {size.answer} tokens; greedy, on {bench.served.name}."
        ),
        conditions=bench.conditions,
        figures={
            "first_token_ms": firsts.values(),
            "first_token_ms_by_turn": {turn + 1: found.values() for turn, found in turns.items()},
            "seconds": lasting.values(),
        },
    )
