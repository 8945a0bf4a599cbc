"""What every workload is given, and how its rounds are interleaved."""

import json
import random
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.autorouter.cores import Cores, pinned
from benchmarks.autorouter.load import Load
from benchmarks.autorouter.tools import program
from benchmarks.autorouter.wrk import GRACE_SECONDS, TIMEOUT_SECONDS, parse
from benchmarks.gateway.edge import MODEL
from benchmarks.gateway.servers import CHAT, Server
from benchmarks.grid import Point
from benchmarks.machine import QUIET, Conditions, Look, cpu_seconds
from benchmarks.processes import BenchmarkError

SCRIPT = Path(__file__).with_name("asks.lua")
WARM_SECONDS = 2
CHAT_BODY = json.dumps(
    {"model": MODEL, "messages": [{"role": "user", "content": "Hello, who are you?"}], "max_tokens": 16}
)


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked: with the keys of a file in turn, over that many connections at a time."""

    keys: Path
    connections: int
    path: str = CHAT
    body: str | None = CHAT_BODY


@dataclass(slots=True)
class Bench:
    """One run. Each measurement lasts ``seconds``."""

    rounds: int
    seed: int
    seconds: int
    connections: int
    smoke: bool
    """A load so small that its numbers mean nothing: it shows that everything works."""
    cores: Cores
    scratch: Path
    say: Callable[[str], None]
    conditions: Conditions = field(default=QUIET)

    def reproduce(self, workload: str) -> str:
        """Return the command that measures *workload* again."""
        words = ["python", "-m", "benchmarks.gateway", workload, "--rounds", str(self.rounds)]
        words += ["--seconds", str(self.seconds), "--connections", str(self.connections)]
        words += ["--seed", str(self.seed)]
        words += ["--smoke"] if self.smoke else []
        return shlex.join(words)

    def keys(self, name: str, keys: Sequence[str]) -> Path:
        """Write *keys* below the scratch directory."""
        file = self.scratch / f"{name}.keys"
        file.write_text("".join(f"{key}\n" for key in keys), "utf-8")
        return file

    def ask(self, server: Server, asking: Asking, seconds: int) -> Load:
        """Put the load on *server* and return what came of it.

        Raises:
            BenchmarkError: ``wrk`` fails, or a request does.
        """
        method = "GET" if asking.body is None else "POST"
        before = cpu_seconds(server.process)
        command = [
            *(program("wrk"), "--threads", "1", "--connections", str(asking.connections)),
            *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(SCRIPT)),
            *(server.url(asking.path), "--", str(asking.keys), method, asking.body or "-"),
        ]
        try:
            done = subprocess.run(
                pinned(self.cores.load, command),
                capture_output=True,
                text=True,
                timeout=seconds + GRACE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"wrk did not end within {seconds + GRACE_SECONDS:g} s") from None
        if done.returncode != 0:
            raise BenchmarkError(f"wrk failed with {done.returncode}: {done.stderr.strip()}")
        load = parse(done.stdout)
        return replace(load, cpu_us=(cpu_seconds(server.process) - before) / load.requests * 1e6)

    def interleave(
        self, running: Sequence[Server], points: Mapping[Point, Mapping[str, Asking]]
    ) -> dict[Point, dict[str, list[Load]]]:
        """Put every point's load on every server in every round; it has an asking for each server's name.

        Within a round each point is measured on every server in turn, in an order that differs from round to
        round. Before the first round each server is warmed up.
        """
        for server in running:
            for askings in points.values():
                self.ask(server, askings[server.name], 1 if self.smoke else WARM_SECONDS)
        self.conditions = QUIET
        results: dict[Point, dict[str, list[Load]]] = {
            point: {server.name: [] for server in running} for point in points
        }
        for number in range(self.rounds):
            for point, askings in points.items():
                order = list(running)
                random.Random(f"{self.seed}/{number}/{point}").shuffle(order)
                for server in order:
                    self.say(f"round {number + 1} of {self.rounds}: {point}: {server.name}")
                    idle = [other.process for other in running if other is not server]
                    before = Look.take([server.process], idle)
                    load = self.ask(server, askings[server.name], self.seconds)
                    after = Look.take([server.process], idle)
                    self.conditions = self.conditions.worst(before.until(after))
                    results[point][server.name].append(load)
        return results
