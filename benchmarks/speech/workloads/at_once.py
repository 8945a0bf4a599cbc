"""Eight requests at once against the same eight one after the other."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.figures import ratio
from benchmarks.grid import Point, grid
from benchmarks.llm.servers import NEAREDGE
from benchmarks.report import Section, Sense, Table, Target
from benchmarks.speech.bench import Bench
from benchmarks.speech.servers import Contender
from benchmarks.speech.texts import SENTENCE

REQUESTS = 8
RECORDING_SECONDS = 15
GOAL = 1.0
HEARD, SPOKEN = "transcriptions", "syntheses"
ONE_BY_ONE, AT_ONCE = "one by one", "at once"


def run(bench: Bench) -> Section:
    """Measure how many seconds of recording, or of speech, are dealt with in a second."""
    specs = [bench.edge()]
    clip = bench.recording(RECORDING_SECONDS)
    requests = 2 if bench.smoke else REQUESTS

    def hear(one: Contender) -> float:
        one.hear(clip.audio)
        return clip.seconds

    def speak(one: Contender) -> float:
        return one.speak(SENTENCE).audio_seconds

    works: dict[str, Callable[[Contender], float]] = {HEARD: hear, SPOKEN: speak}

    def load(one: Contender, *, point: Point) -> float:
        kind, _, how = str(point).partition(", ")
        started = time.perf_counter()
        with ThreadPoolExecutor(requests if how == AT_ONCE else 1) as pool:
            audio_seconds = sum(pool.map(works[kind], [one] * requests))
        return audio_seconds / (time.perf_counter() - started)

    points = [f"{kind}, {how}" for kind in works for how in (ONE_BY_ONE, AT_ONCE)]
    with bench.contenders(specs) as everyone:
        results = bench.interleave(everyone, points, load)
    speeds = grid(results, lambda found: found)
    rows = tuple((str(point), speeds.at(point, NEAREDGE).show(2)) for point in points)
    return Section(
        workload="at-once",
        reproduce=bench.reproduce("at-once"),
        tables=(
            Table(
                f"Seconds of sound per second, {requests} requests", ("", "median (lowest to highest)"), rows
            ),
        ),
        targets=tuple(
            Target(
                f"{kind}, throughput at once over one by one",
                ratio(
                    speeds.at(f"{kind}, {AT_ONCE}", NEAREDGE), speeds.at(f"{kind}, {ONE_BY_ONE}", NEAREDGE)
                ),
                Sense.AT_LEAST,
                GOAL,
            )
            for kind in works
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f"{bench.ear} hears {clip.seconds:.0f} s of recordings, {bench.voice} says "
            f'"{SENTENCE}"; {bench.threads} threads.'
        ),
        conditions=bench.conditions,
        figures={"seconds_per_second": speeds.values()},
    )
