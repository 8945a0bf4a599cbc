"""What every workload is given, and how its rounds are interleaved."""

import asyncio
import random
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import uvloop

from benchmarks.grid import Point
from benchmarks.llm.client import Answer, AnswerFailed
from benchmarks.llm.peers import Peers
from benchmarks.llm.prompts import Prompts
from benchmarks.llm.servers import Server, ServerSpec, bundled, llama_server, nearedge, serving
from benchmarks.llm.vocabulary import Vocabulary
from benchmarks.machine import QUIET, Conditions, Look
from benchmarks.processes import BenchmarkError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WARM_UP_TOKENS = 16

EIGHT_BIT_KEYS = ("--cache-type-k", "q8_0", "--cache-type-v", "f16")
"""For llama-server: keys and values as the engine keeps them."""


class Load(Protocol[T_co]):
    """What one measurement puts on a server; *number* is the round's."""

    async def __call__(self, server: Server, *, point: Point, number: int) -> T_co: ...


@dataclass(slots=True)
class Bench:
    """One run; ``published`` is the model's file as it was fetched, ``served`` the one that an edge runs."""

    model: str
    published: Path
    served: Path
    options: Mapping[str, Any]
    """What an edge's worker loads the model with."""
    threads: int
    rounds: int
    seed: int
    smoke: bool
    """A load so small that its numbers mean nothing: it shows that everything works."""
    peers: Peers
    vocabulary: Vocabulary
    scratch: Path
    say: Callable[[str], None]
    conditions: Conditions = field(default=QUIET)

    def prompts(self) -> Prompts:
        return Prompts(self.vocabulary.words, self.vocabulary.count, self.seed)

    def reproduce(self, workload: str) -> str:
        """Return the command that measures *workload* again."""
        words = ["python", "-m", "benchmarks.llm", workload, "--rounds", str(self.rounds)]
        words += ["--model", self.model, "--threads", str(self.threads), "--seed", str(self.seed)]
        words += ["--smoke"] if self.smoke else []
        return shlex.join(words)

    # Servers

    def edge(self, **settings: object) -> ServerSpec:
        """Return an edge that serves only the model under test, with the threads that its peers get."""
        alone = {"edge_models": self.model, "edge_threads": self.threads}
        return self.default_edge(**alone, **settings)

    def default_edge(self, **settings: object) -> ServerSpec:
        """Return an edge under *settings* and else as it comes."""
        return nearedge(self.scratch, model=self.model, ends=self.vocabulary.ends, settings=settings)

    def traced_edge(self) -> ServerSpec:
        """Return an edge as :meth:`edge` does, in the launcher that notes when tokens leave."""
        return nearedge(
            self.scratch,
            model=self.model,
            ends=self.vocabulary.ends,
            settings={"edge_models": self.model, "edge_threads": self.threads},
            module="benchmarks.llm.traced_edge",
            name="nearedge traced",
        )

    def llama_server(self, name: str, *options: object) -> ServerSpec:
        return llama_server(
            self.peers.llama_server, self.served, *options, threads=self.threads, name=f"llama-server {name}"
        )

    def default_llama_server(self) -> ServerSpec:
        """Return a ``llama-server`` as it comes, on the model's file as it was published."""
        return llama_server(self.peers.llama_server, self.published, threads=None)

    def bundled(self) -> ServerSpec:
        return bundled(
            self.peers.bundled_python, self.served, ends=self.vocabulary.ends, threads=self.threads
        )

    # Rounds

    @contextmanager
    def servers(self, specs: Sequence[ServerSpec]) -> Iterator[list[Server]]:
        """Start *specs*, and have each answer once so that its weights are in memory."""
        self.conditions = QUIET
        self.say(f"starting {', '.join(spec.name for spec in specs)}")
        with serving(specs, self.scratch) as servers:
            prompts = self.prompts()
            for server in servers:
                prompt = prompts.text(WARM_UP_TOKENS, "warm-up", server.name)
                answer = self.run(server, servers, partial(_complete, prompt=prompt))
                if answer.prompt_tokens not in (None, WARM_UP_TOKENS):
                    raise BenchmarkError(
                        f"{server.name} makes {answer.prompt_tokens} tokens of a prompt of {WARM_UP_TOKENS}"
                    )
            self.conditions = QUIET
            yield servers

    def run(self, server: Server, servers: Sequence[Server], load: Callable[[Server], Awaitable[T]]) -> T:
        """Put *load* on *server* while the others idle, and note how quiet the machine was.

        Raises:
            BenchmarkError: the server did not answer as it should.
        """

        async def loaded() -> T:
            return await load(server)

        idle = [other.process for other in servers if other is not server]
        before = Look.take([server.process], idle)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                result = runner.run(loaded())
        except (AnswerFailed, OSError) as error:
            raise BenchmarkError(f"{server.name}: {error}") from error
        except ExceptionGroup as group:
            raise BenchmarkError(f"{server.name}: {_first(group)}") from group
        self.conditions = self.conditions.worst(before.until(Look.take([server.process], idle)))
        return result

    def interleave(
        self,
        servers: Sequence[Server],
        points: Sequence[Point],
        load: Load[T],
    ) -> dict[Point, dict[str, list[T]]]:
        """Run ``load(server, point=…, number=…)`` for every combination; return what came, by point and name.

        Within a round each point is measured on every server in turn, in an order that differs from round
        to round, so that whatever drifts on the machine meets all of them alike.
        """
        results: dict[Point, dict[str, list[T]]] = {
            point: {server.name: [] for server in servers} for point in points
        }
        for number in range(self.rounds):
            for point in points:
                order = list(servers)
                random.Random(f"{self.seed}/{number}/{point}").shuffle(order)
                for server in order:
                    self.say(f"round {number + 1} of {self.rounds}: {point}: {server.name}")
                    result = self.run(server, servers, partial(load, point=point, number=number))
                    results[point][server.name].append(result)
        return results


async def _complete(server: Server, *, prompt: str) -> Answer:
    return await server.complete(prompt, WARM_UP_TOKENS)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
