"""Speech in other languages than English, spoken by Kokoro from phonemes that were written by hand."""

# ruff: noqa: RUF001 - phonemes look like letters

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from edge.engines.base import Job
from edge.engines.tts.kokoro import Kokoro
from edge.workers.messages import Speak
from tests.models import pulled


@dataclass(frozen=True)
class Saying:
    """What ``voice`` says in ``language``: its spelling, its phonemes, and what it means."""

    language: str
    voice: str
    text: str
    phonemes: str
    meaning: frozenset[str]
    """English words that no translation can do without."""


SPANISH = Saying(
    "es",
    "ef_dora",
    "Buenos días. Mi casa es muy grande, y tengo dos perros negros.",
    "bwˈenos dˈias. mi kˈasa ˈes mˈuj ɡɾˈande, i tˈeŋɡo dˈos pˈeros nˈeɡɾos.",
    frozenset({"house", "big", "two", "black", "dogs"}),
)
FRENCH = Saying(
    "fr",
    "ff_siwis",
    "Bonjour. J'aime le fromage et le vin rouge. Nous allons à Paris demain matin.",
    "bɔ̃ʒˈuʁ. ʒ ˈɛm lə fʁɔmˈaʒ e lə vˈɛ̃ ʁˈuʒ. nu zalˈɔ̃ a paʁˈi dəmˈɛ̃ matˈɛ̃.",
    frozenset({"cheese", "wine", "red", "paris", "morning"}),
)


def say(saying: Saying) -> NDArray[np.float32]:
    """Return the sound, samples at ``SPEECH_RATE``."""
    _, files = pulled("kokoro-82m")
    kokoro = Kokoro(files["model"], files["voices"], threads=2)
    ids = json.loads(resources.files("hibari").joinpath("assets/vocab.json").read_text("utf-8"))
    tokens = [ids[symbol] for symbol in saying.phonemes]
    job = Job(Speak("", ""), lambda _: None, lambda _: None)
    return kokoro.synthesize(tokens, kokoro.voices.find(saying.voice), speed=0.9, job=job)
