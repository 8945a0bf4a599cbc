"""How long a transcription takes, beside the engine called directly and another server."""

from benchmarks.figures import Figure, ratio
from benchmarks.grid import Grid, Point, grid
from benchmarks.llm.servers import NEAREDGE
from benchmarks.report import Section, Sense, Target
from benchmarks.speech.bench import Bench
from benchmarks.speech.servers import RAW, WHISPER_SERVER, Contender, Heard
from benchmarks.speech.texts import compare

SECONDS = (5, 30)
GOAL = 1.05


def run(bench: Bench) -> Section:
    """Measure recordings of two lengths, each sent as a WAV file."""
    specs = [bench.raw_engine(), bench.edge(), bench.whisper_server()]
    lengths = SECONDS[:1] if bench.smoke else SECONDS
    clips = {f"{seconds} s": bench.recording(seconds) for seconds in lengths}

    def load(one: Contender, *, point: Point) -> Heard:
        return one.hear(clips[str(point)].audio)

    with bench.contenders(specs) as everyone:
        results = bench.interleave(everyone, list(clips), load)
    seconds = grid(results, lambda found: found.seconds)
    factors = Grid(
        {
            point: {
                name: Figure(tuple(value / clips[str(point)].seconds for value in figure.values))
                for name, figure in by_name.items()
            }
            for point, by_name in seconds.figures.items()
        }
    )
    wrong = {
        point: compare([clips[str(point)].text], [by_name[NEAREDGE][-1].text]).rate
        for point, by_name in results.items()
    }
    return Section(
        workload="hearing",
        reproduce=bench.reproduce("hearing"),
        tables=(
            factors.table("Real-time factor: seconds of work per second of recording", "recording", 4),
            seconds.table("Seconds to the transcript", "recording", 3),
        ),
        targets=tuple(
            Target(
                f"{point}, time through HTTP over {rival}",
                ratio(seconds.at(point, NEAREDGE), seconds.at(point, rival)),
                Sense.AT_MOST,
                goal,
            )
            for point in clips
            for rival, goal in ((RAW, GOAL), (WHISPER_SERVER, 1.0))
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f"{bench.ear}, 8-bit, {bench.threads} threads, beam 5, voice activity filter, English. "
            "Word error rate of Nearedge's last transcripts: "
            f"{', '.join(f'{point} {rate:.1%}' for point, rate in wrong.items())}."
        ),
        conditions=bench.conditions,
        figures={"seconds": seconds.values(), "real_time_factor": factors.values()},
    )
