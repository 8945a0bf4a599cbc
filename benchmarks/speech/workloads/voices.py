"""Whether every voice is understood: spoken, and transcribed back."""

from collections import defaultdict

import numpy as np

from benchmarks.report import Section, Table
from benchmarks.speech.bench import Bench
from benchmarks.speech.recordings import wav
from benchmarks.speech.servers import Contender
from benchmarks.speech.texts import SENTENCE, Errors, compare

SPEECH_RATE = 24_000
SMOKE_VOICES = 2
ENGLISH = "ab"
"""The first letters of the ids of Kokoro's American and British voices; the others speak English with the
accents of their own languages."""


def run(bench: Bench) -> Section:
    """Have every voice say a sentence once: equal requests give equal sound."""
    specs = [bench.edge()]
    with np.load(bench.files["tts"]["voices"], allow_pickle=False) as styles:
        names = sorted(styles.files)
    names = names[:SMOKE_VOICES] if bench.smoke else names
    heard: dict[str, str] = {}
    with bench.contenders(specs) as everyone:
        (edge,) = everyone
        for name in names:
            bench.say(name)

            def load(one: Contender, name: str = name) -> str:
                return one.hear(wav(one.speak(SENTENCE, name).pcm, SPEECH_RATE)).text

            heard[name] = bench.run(edge, everyone, load)
    errors = {name: compare([SENTENCE], [text]) for name, text in heard.items()}
    groups: dict[str, list[Errors]] = defaultdict(list)
    for name, found in errors.items():
        groups["English voices" if name[0] in ENGLISH else "voices of other languages"].append(found)
    groups["all"] = list(errors.values())
    rows = tuple(
        (name, str(len(found)), str(_flawless(found)), f"{_rate(found):.1%}")
        for name, found in groups.items()
    )
    return Section(
        workload="voices",
        reproduce=bench.reproduce("voices"),
        tables=(
            Table(
                "Spoken and transcribed back", ("", "voices", "without a wrong word", "word error rate"), rows
            ),
            Table(
                "Voices with a wrong word",
                ("voice", "word error rate", "heard"),
                tuple(
                    (name, f"{errors[name].rate:.1%}", heard[name].strip())
                    for name in names
                    if errors[name].wrong
                ),
            ),
        ),
        servers={spec.name: spec.shown() for spec in specs},
        about=f'{bench.voice} says "{SENTENCE}", and {bench.ear} listens.',
        conditions=bench.conditions,
        figures={"heard": heard},
    )


def _rate(found: list[Errors]) -> float:
    return sum(errors.wrong for errors in found) / sum(errors.said for errors in found)


def _flawless(found: list[Errors]) -> int:
    return sum(errors.wrong == 0 for errors in found)
