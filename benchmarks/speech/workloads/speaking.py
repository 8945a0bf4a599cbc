"""How long speech takes, whole and to its first sound, beside the raw engine and another server."""

from benchmarks.figures import Figure, Ratio, ratio
from benchmarks.grid import Point, grid
from benchmarks.llm.servers import NEAREDGE
from benchmarks.report import Section, Sense, Target
from benchmarks.speech.bench import Bench
from benchmarks.speech.servers import KOKORO_SERVER, RAW, Contender, Spoken
from benchmarks.speech.texts import SENTENCE, SIXTY_WORDS

TEXTS = {"a sentence": SENTENCE, "60 words": SIXTY_WORDS}
LONG = "60 words"
WHOLE_GOAL = 1.05
FIRST_GOAL = 1.1


def run(bench: Bench) -> Section:
    """Measure; the sound is streamed as PCM."""
    specs = [bench.raw_engine(), bench.edge(), bench.kokoro_server()]
    points = list(TEXTS)[:1] if bench.smoke else list(TEXTS)

    def load(one: Contender, *, point: Point) -> Spoken:
        return one.speak(TEXTS[str(point)])

    with bench.contenders(specs) as everyone:
        results = bench.interleave(everyone, points, load)
    seconds = grid(results, lambda found: found.seconds)
    firsts = grid(results, lambda found: found.first_seconds * 1000)
    factors = grid(results, lambda found: found.real_time_factor)
    stalls = grid(results, lambda found: found.stalled_seconds)
    last = points[-1]
    return Section(
        workload="speaking",
        reproduce=bench.reproduce("speaking"),
        tables=(
            factors.table("Real-time factor: seconds of work per second of sound", "text", 3),
            seconds.table("Seconds to the last sound", "text", 2),
            firsts.table("Milliseconds to the first sound; of the raw engine, to its first sentence", "text"),
            stalls.table("Seconds without sound when played as it comes", "text", 2),
        ),
        targets=(
            *(
                Target(
                    f"{point}, time to the last sound through HTTP over {RAW}",
                    ratio(seconds.at(point, NEAREDGE), seconds.at(point, RAW)),
                    Sense.AT_MOST,
                    WHOLE_GOAL,
                )
                for point in points
            ),
            Target(
                f"{last}, time to the first sound over the {RAW}'s to its first sentence",
                ratio(firsts.at(last, NEAREDGE), firsts.at(last, RAW)),
                Sense.AT_MOST,
                FIRST_GOAL,
            ),
            Target(
                f"{last}, longest time without sound in any round, s",
                worst(stalls.at(last, NEAREDGE)),
                Sense.AT_MOST,
                0.0,
            ),
            *(
                Target(
                    f"{point}, real-time factor over {KOKORO_SERVER}",
                    ratio(factors.at(point, NEAREDGE), factors.at(point, KOKORO_SERVER)),
                    Sense.AT_MOST,
                    1.0,
                )
                for point in points
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f"{bench.voice}, 8-bit, {bench.threads} threads. {KOKORO_SERVER} reads texts with other "
            "rules, and the silence around its sentences is of another length: only its real-time factor is "
            "compared."
        ),
        conditions=bench.conditions,
        figures={
            "seconds": seconds.values(),
            "first_ms": firsts.values(),
            "real_time_factor": factors.values(),
            "stalled_seconds": stalls.values(),
        },
    )


def worst(figure: Figure) -> Ratio:
    """Return the highest round of *figure* in a target's shape."""
    return Ratio(figure.high, figure.low, figure.high)
