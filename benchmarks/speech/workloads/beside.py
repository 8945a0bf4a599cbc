"""What chat, speech and transcription cost each other on one edge."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter

from benchmarks.figures import Ratio, ratio
from benchmarks.grid import Grid, Point, grid
from benchmarks.llm.servers import NEAREDGE
from benchmarks.report import Section, Sense, Table, Target
from benchmarks.speech.bench import Bench
from benchmarks.speech.servers import Contender
from benchmarks.speech.texts import SENTENCE

CHAT_MODEL = "smollm2-135m-instruct"
TOKENS = 128
RECORDING_SECONDS = 15
GOAL = 4.0
KINDS = ("chat", "speech", "transcription")
ALONE, TOGETHER = "alone", "together"
ALIKE = f"{NEAREDGE}, all alike"


def run(bench: Bench) -> Section:
    """Measure an edge as it comes, and one whose models that speak or transcribe do not give way."""
    specs = [
        bench.edge_with(CHAT_MODEL, NEAREDGE),
        bench.edge_with(CHAT_MODEL, ALIKE, edge_speech_nice=0),
    ]
    clip = bench.recording(RECORDING_SECONDS)

    def works(one: Contender) -> dict[str, Callable[[], object]]:
        return {
            "chat": lambda: one.chat(CHAT_MODEL, TOKENS),
            "speech": lambda: one.speak(SENTENCE),
            "transcription": lambda: one.hear(clip.audio),
        }

    def load(one: Contender, *, point: Point) -> dict[str, float]:
        if point == ALONE:
            return {kind: _seconds(work) for kind, work in works(one).items()}
        return together(works(one))

    with bench.contenders(specs) as everyone:
        for one in everyone:
            one.chat(CHAT_MODEL, TOKENS)
        results = bench.interleave(everyone, (ALONE, TOGETHER), load)
    kinds = {kind: grid(results, itemgetter(kind)) for kind in KINDS}
    rows = tuple(
        (
            kind,
            name,
            times.at(ALONE, name).show(2),
            times.at(TOGETHER, name).show(2),
            _factor(times, name).show(),
        )
        for kind, times in kinds.items()
        for name in (NEAREDGE, ALIKE)
    )
    return Section(
        workload="beside",
        reproduce=bench.reproduce("beside"),
        tables=(
            Table(
                "Seconds that each takes: median (lowest to highest round)",
                ("", "edge", "alone", "with the other two", "ratio"),
                rows,
            ),
        ),
        targets=tuple(
            Target(f"{kind} beside the other two over alone", _factor(times, NEAREDGE), Sense.AT_MOST, GOAL)
            for kind, times in kinds.items()
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f'{CHAT_MODEL} writes {TOKENS} tokens, {bench.voice} says "{SENTENCE}", {bench.ear} hears '
            f"{clip.seconds:.0f} s of recordings; {bench.threads} threads each. "
            "Whoever has been measured works on until the others have."
        ),
        conditions=bench.conditions,
        figures={kind: times.values() for kind, times in kinds.items()},
    )


def _factor(times: Grid, edge: str) -> Ratio:
    return ratio(times.at(TOGETHER, edge), times.at(ALONE, edge))


def together(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Start all *works* at once and return how many seconds each takes while the others go on."""
    start = threading.Barrier(len(works))
    unmeasured = set(works)

    def one(kind: str) -> float:
        start.wait()
        try:
            seconds = _seconds(works[kind])
        finally:
            unmeasured.discard(kind)
        while unmeasured:
            works[kind]()
        return seconds

    with ThreadPoolExecutor(len(works)) as pool:
        running = {kind: pool.submit(one, kind) for kind in works}
        return {kind: future.result() for kind, future in running.items()}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
