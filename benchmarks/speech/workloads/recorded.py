"""How many words of real recordings are misheard."""

from collections import defaultdict

from benchmarks.report import Section, Table
from benchmarks.speech.bench import Bench
from benchmarks.speech.recordings import Clip
from benchmarks.speech.servers import Contender
from benchmarks.speech.texts import compare

SMOKE_CLIPS = 3
WORST = 5
SHOWN = 80
"""Characters of a text in a table; the JSON has it whole."""


def run(bench: Bench) -> Section:
    """Have every clip transcribed once, each for itself: equal recordings give equal transcripts."""
    specs = [bench.edge()]
    clips = list(bench.clips)[:SMOKE_CLIPS] if bench.smoke else list(bench.clips)
    with bench.contenders(specs) as everyone:
        (edge,) = everyone

        def load(one: Contender) -> list[str]:
            return [one.hear(clip.audio).text for clip in clips]

        bench.say(f"{len(clips)} recordings")
        heard = bench.run(edge, everyone, load)
    pairs = list(zip(clips, heard, strict=True))
    sources: dict[str, list[tuple[Clip, str]]] = defaultdict(list)
    for clip, text in pairs:
        sources[clip.name.partition("/")[0]].append((clip, text))
    rows = [_row(name, found) for name, found in sources.items()]
    rows.append(_row("all", pairs))
    missed = sorted(pairs, key=lambda pair: -compare([pair[0].text], [pair[1]]).wrong)[:WORST]
    return Section(
        workload="recorded",
        reproduce=bench.reproduce("recorded"),
        tables=(
            Table(
                "Words misheard in recorded speech",
                ("source", "clips", "minutes", "words", "word error rate"),
                tuple(rows),
            ),
            Table(
                "Where most were",
                ("clip", "said", "heard"),
                tuple((clip.name, _short(clip.text), _short(text.strip())) for clip, text in missed),
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=(
            f"{bench.ear}. Where the recordings are from: benchmarks/speech/recordings.py. "
            "Compared in small letters without punctuation, single digits as words."
        ),
        conditions=bench.conditions,
        figures={"heard": {clip.name: text for clip, text in pairs}},
    )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _row(name: str, pairs: list[tuple[Clip, str]]) -> tuple[str, ...]:
    errors = compare([clip.text for clip, _ in pairs], [text for _, text in pairs])
    minutes = sum(clip.seconds for clip, _ in pairs) / 60
    return name, str(len(pairs)), f"{minutes:.1f}", str(errors.said), f"{errors.rate:.1%}"
