"""Text to speech, whatever model makes the sound."""

import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.engines.audio import FORMATS, SPEECH_RATE
from edge.engines.audio.encoder import AudioEncoder
from edge.engines.audio.levels import limit, trim
from edge.engines.audio.tempo import change_tempo
from edge.engines.base import InvalidRequest, Job
from edge.engines.tts.phonemes import Phonemizer
from edge.engines.tts.utterances import Utterance, utterances
from edge.engines.tts.voices import Blend, VoiceTable
from edge.engines.turns import Pause, TurnsEngine
from edge.workers.messages import Audio, Speak, Spoken

MIN_SPEED = 0.25
MAX_SPEED = 4.0

MAX_SPEECH_SECONDS = 1200
"""Longest speech that one request may ask for; as pcm it is no more than the gateway keeps for a slow
reader."""

TOKENS_PER_SECOND = 15
"""How many phoneme tokens fill a second at normal speed: 14 to 18 measured over Kokoro's voices."""

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A longer file leaves as several events: a frame to the gateway has a limit."""

_LEAD_SECONDS = 0.05
_LAST_TAIL_SECONDS = 0.2


class Synthesizer(Protocol):
    """A model that turns phoneme tokens into sound."""

    voices: VoiceTable
    slowest: float
    """The speeds between which the model itself speaks well; beyond them the sound is stretched."""
    fastest: float

    @abstractmethod
    def phonemizer(self, voice: Blend) -> Phonemizer:
        """Return the reader for *voice*."""

    @abstractmethod
    def synthesize(self, tokens: list[int], voice: Blend, *, speed: float, job: Job) -> NDArray[np.float32]:
        """Return the sound of 1 to ``PIECE_TOKENS`` *tokens*, mono at ``SPEECH_RATE``.

        Raises:
            Cancelled: the caller of *job* has left.
        """

    @abstractmethod
    def rest(self) -> None:
        """Give back the memory that only :meth:`synthesize` needs: nothing is to be spoken now."""


class SpeechEngine(TurnsEngine):
    """Answers ``Speak`` with ``Audio``, sentence by sentence if it streams, else all at the end, then
    ``Spoken``. Several texts are spoken at once, a sentence of each in turn."""

    open_per_caller = 16
    """More than of other engines: what a text has made so far is small, except of the slowest and longest."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer
        super().__init__()

    def rest(self) -> None:
        self._synthesizer.rest()

    @property
    def info(self) -> dict[str, Any]:
        return {
            "voices": self._synthesizer.voices.info,
            "languages": ["en"],
            "sample_rate": SPEECH_RATE,
        }

    def caller(self, job: Job) -> str:
        return job.request.caller if isinstance(job.request, Speak) else ""

    def run(self, job: Job, pause: Pause) -> None:
        request = job.request
        if not isinstance(request, Speak):
            raise InvalidRequest("This model speaks text", param="model")
        _validate(request)
        busy_seconds = 0.0
        characters = made = 0
        whole = bytearray()
        with AudioEncoder(request.format) as encoder:
            sounds = self._sounds(request, job)
            while True:
                began = time.perf_counter()
                spoken = next(sounds, None)
                if spoken is None:
                    break
                samples, length = spoken
                made += len(samples)
                characters += length
                data = encoder.encode(samples)
                if not request.stream:
                    whole += data
                    data = b""
                job.emit(Audio(data, length))
                busy_seconds += time.perf_counter() - began
                del samples, spoken
                pause()
            if not made:
                raise RuntimeError("the model made no sound")
            whole += encoder.close()
        for start in range(0, len(whole), MAX_EVENT_BYTES):
            job.emit(Audio(bytes(whole[start : start + MAX_EVENT_BYTES])))
        now = time.perf_counter()
        busy_seconds += now - began
        job.emit(
            Spoken(
                characters=characters,
                seconds=made / SPEECH_RATE,
                queue_ms=(now - job.submitted - busy_seconds) * 1000,
                inference_ms=busy_seconds * 1000,
            )
        )

    def _sounds(self, request: Speak, job: Job) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Yield the sound of each utterance with the pause that belongs after it, and its characters."""
        model, speed = self._synthesizer, request.speed
        voice = model.voices.find(request.voice)
        own_speed = min(max(speed, model.slowest), model.fastest)
        planned = _within_limit(request, utterances(request.text, model.phonemizer(voice)))
        following = next(planned, None)
        if following is None:
            raise InvalidRequest("input holds nothing that can be pronounced in English", param="input")
        lead = _LEAD_SECONDS
        while following is not None:
            job.check()
            utterance = following
            samples = model.synthesize(utterance.tokens, voice, speed=own_speed, job=job)
            if not np.isfinite(samples).all():
                raise RuntimeError("the model made samples that are no numbers")
            samples = change_tempo(samples, speed / own_speed, rate=SPEECH_RATE)
            following = next(planned, None)
            pause = _LAST_TAIL_SECONDS if following is None else utterance.end.value
            yield limit(trim(samples, rate=SPEECH_RATE, lead=lead, tail=pause / speed)), utterance.characters
            lead = _LEAD_SECONDS / speed


def _within_limit(request: Speak, planned: Iterator[Utterance]) -> Iterator[Utterance]:
    """Yield *planned*.

    A text that might last longer than is allowed is read to its end first, so that it is refused before its
    first sound; others are read sentence by sentence.

    Raises:
        InvalidRequest: it takes longer than ``MAX_SPEECH_SECONDS`` to say.
    """
    most = MAX_SPEECH_SECONDS * TOKENS_PER_SECOND * request.speed
    if _most_tokens(request.text) > most:
        whole = list(planned)
        _refuse_above(most, sum(len(utterance.tokens) for utterance in whole))
        planned = iter(whole)
    tokens = 0
    for utterance in planned:
        tokens += len(utterance.tokens)
        _refuse_above(most, tokens)
        yield utterance


def _most_tokens(text: str) -> float:
    """Return more tokens than *text* will have: numbers, signs and acronyms are read out, words seldom."""
    plain = sum(character.islower() or character.isspace() for character in text)
    return 3 * plain + 10 * (len(text) - plain)


def _refuse_above(most: float, tokens: int) -> None:
    if tokens > most:
        minutes = MAX_SPEECH_SECONDS / 60 * tokens / most
        raise InvalidRequest(
            f"input would take about {minutes:.0f} minutes to say at this speed and the limit is"
            f" {MAX_SPEECH_SECONDS // 60}; send it in parts",
            param="input",
        )


def _validate(request: Speak) -> None:
    form = FORMATS.get(request.format)
    if form is None:
        raise InvalidRequest(f"response_format must be one of {', '.join(FORMATS)}", param="response_format")
    if request.stream and not form.streams:
        names = " and ".join(name for name, other in FORMATS.items() if other.streams)
        raise InvalidRequest(f"Only {names} can be streamed, not {request.format}", param="response_format")
    if not MIN_SPEED <= request.speed <= MAX_SPEED:
        raise InvalidRequest(f"speed must be between {MIN_SPEED:g} and {MAX_SPEED:g}", param="speed")
    if not request.text.strip():
        raise InvalidRequest("input holds no text", param="input")
