"""What every workload is given, and how its rounds are interleaved."""

import random
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import httpx

from benchmarks.grid import Point
from benchmarks.llm.servers import ServerSpec, serving
from benchmarks.machine import QUIET, Conditions, Look
from benchmarks.processes import BenchmarkError
from benchmarks.speech import raw, servers
from benchmarks.speech.peers import Peers
from benchmarks.speech.recordings import Clip, joined
from benchmarks.speech.servers import Contender

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WARM_UP = "This is a sentence that is only spoken to warm up."
WARM_UP_SECONDS = 5

STRIDE = 7
"""Of so many clips one is taken."""


class Load(Protocol[T_co]):
    """What one measurement puts on a contender."""

    def __call__(self, one: Contender, *, point: Point) -> T_co: ...


@dataclass(slots=True)
class Bench:
    """One run. ``voice`` and ``ear`` are models of the catalogue, ``files`` the paths of each by role."""

    voice: str
    ear: str
    files: Mapping[str, Mapping[str, Path]]
    threads: int
    rounds: int
    smoke: bool
    """A load so small that its numbers mean nothing: it shows that everything works."""
    clips: Sequence[Clip]
    peers: Peers
    scratch: Path
    say: Callable[[str], None]
    conditions: Conditions = field(default=QUIET)

    def reproduce(self, workload: str) -> str:
        """Return the command that measures *workload* again."""
        words = ["python", "-m", "benchmarks.speech", workload, "--rounds", str(self.rounds)]
        words += ["--stt-model", self.ear, "--threads", str(self.threads)]
        words += ["--smoke"] if self.smoke else []
        return shlex.join(words)

    def recording(self, seconds: float) -> Clip:
        """Return recordings in a row that last *seconds* or little more.

        They are taken from here and there: neighbours say nearly the same, and Whisper hears a text that
        repeats itself again and again, at one temperature after the other.
        """
        return joined(self.clips[::STRIDE], seconds)

    # Servers

    def edge(self) -> ServerSpec:
        """Return an edge that serves only the models under test, with the threads that its peers get."""
        return servers.nearedge(self.scratch, (self.voice, self.ear), edge_threads=self.threads)

    def edge_with(self, model: str, name: str, **settings: object) -> ServerSpec:
        """Return an edge that serves *model* besides."""
        models = (model, self.voice, self.ear)
        return servers.nearedge(self.scratch, models, name=name, edge_threads=self.threads, **settings)

    def raw_engine(self) -> ServerSpec:
        order = raw.Order(
            whisper=str(self.files["stt"]["model"].parent),
            kokoro=str(self.files["tts"]["model"]),
            voices=str(self.files["tts"]["voices"]),
            threads=self.threads,
        )
        return servers.raw_engine(self.scratch, order)

    def whisper_server(self) -> ServerSpec:
        return servers.whisper_server(
            self.scratch, self.peers, self.files["stt"]["model"].parent, self.threads
        )

    def kokoro_server(self) -> ServerSpec:
        return servers.kokoro_server(self.scratch, self.peers, self.files["tts"], self.threads)

    # Rounds

    @contextmanager
    def contenders(self, specs: Sequence[ServerSpec]) -> Iterator[list[Contender]]:
        """Start *specs*, and have each work once, so that its model is in memory."""
        self.say(f"starting {', '.join(spec.name for spec in specs)}")
        with serving(specs, self.scratch) as running:
            found = [servers.contender(server, voice=self.voice, ear=self.ear) for server in running]
            for one in found:
                if one.name != servers.WHISPER_SERVER:
                    self.run(one, found, lambda contender: contender.speak(WARM_UP))
                if one.name != servers.KOKORO_SERVER:
                    self.run(
                        one, found, lambda contender: contender.hear(self.recording(WARM_UP_SECONDS).audio)
                    )
            self.conditions = QUIET
            yield found

    def run(self, one: Contender, everyone: Sequence[Contender], load: Callable[[Contender], T]) -> T:
        """Put *load* on *one* while the others idle, and note how quiet the machine was.

        Raises:
            BenchmarkError: it did not answer as it should.
        """
        idle = [other.process for other in everyone if other is not one]
        before = Look.take([one.process], idle)
        try:
            result = load(one)
        except httpx.TransportError as error:
            raise BenchmarkError(f"{one.name}: {error or type(error).__name__}") from error
        self.conditions = self.conditions.worst(before.until(Look.take([one.process], idle)))
        return result

    def interleave(
        self, everyone: Sequence[Contender], points: Sequence[Point], load: Load[T]
    ) -> dict[Point, dict[str, list[T]]]:
        """Run ``load(contender, point=…)`` for every combination; return what came, by point and name.

        Within a round each point is measured on every one in turn, in an order that differs from round to
        round, so that whatever drifts on the machine meets all of them alike.
        """
        results: dict[Point, dict[str, list[T]]] = {
            point: {one.name: [] for one in everyone} for point in points
        }
        for number in range(self.rounds):
            for point in points:
                order = list(everyone)
                random.Random(f"{number}/{point}").shuffle(order)
                for one in order:
                    self.say(f"round {number + 1} of {self.rounds}: {point}: {one.name}")
                    found = self.run(one, everyone, partial(load, point=point))
                    results[point][one.name].append(found)
        return results
