"""Text to speech, whatever model makes the sound."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.engines.audio import FORMATS, SPEECH_RATE
from edge.engines.audio.encoder import AudioEncoder
from edge.engines.audio.levels import limit, trim
from edge.engines.audio.tempo import change_tempo
from edge.engines.base import InvalidRequest, Job, SerialEngine
from edge.engines.tts.phonemes import Phonemizer
from edge.engines.tts.sentences import Break, fit, split_sentences
from edge.engines.tts.voices import Voice, VoiceTable
from edge.workers.messages import Audio, Speak

MIN_SPEED = 0.25
MAX_SPEED = 4.0

MAX_SPEECH_SECONDS = 1800
"""Longest speech that one request may ask for."""

TOKENS_PER_SECOND = 15
"""How many phoneme tokens fill a second at normal speed: 14 to 18 measured over Kokoro's voices."""

PIECE_TOKENS = 240
"""Most tokens spoken in one go. Kokoro takes 510 but rushes from about 400 on, and the first sound has to
wait for the whole of its piece."""

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
    def phonemizer(self, voice: Voice) -> Phonemizer:
        """Return the reader for *voice*."""

    @abstractmethod
    def synthesize(self, tokens: list[int], voice: Voice, *, speed: float, job: Job) -> NDArray[np.float32]:
        """Return the sound of 1 to ``PIECE_TOKENS`` *tokens*, mono at ``SPEECH_RATE``.

        Raises:
            Cancelled: the caller of *job* has left.
        """


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is spoken in one go."""

    tokens: list[int]
    end: Break


def plan(text: str, phonemizer: Phonemizer) -> list[Utterance]:
    """Cut *text* into what is spoken in one go; what has no sound of its own is left out.

    Raises:
        InvalidRequest: nothing in *text* can be pronounced.
    """
    known: dict[str, list[int]] = {}

    def tokens(part: str) -> list[int]:
        if part not in known:
            known[part] = phonemizer(part)
        return known[part]

    pieces = (
        piece
        for sentence in split_sentences(text)
        for piece in fit(sentence, lambda part: len(tokens(part)), PIECE_TOKENS)
    )
    utterances = [Utterance(tokens(piece.text), piece.end) for piece in pieces if tokens(piece.text)]
    if not utterances:
        raise InvalidRequest("input holds nothing that can be pronounced in English", param="input")
    return utterances


class SpeechEngine(SerialEngine):
    """Answers ``Speak`` with ``Audio``: sentence by sentence if it streams, else all at the end."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer
        super().__init__()

    @property
    def info(self) -> dict[str, Any]:
        return {
            "voices": self._synthesizer.voices.info,
            "languages": ["en"],
            "sample_rate": SPEECH_RATE,
        }

    def run(self, job: Job) -> None:
        request = job.request
        if not isinstance(request, Speak):
            raise InvalidRequest("This model speaks text", param="model")
        _validate(request)
        voice = self._synthesizer.voices.find(request.voice)
        utterances = plan(request.text, self._synthesizer.phonemizer(voice))
        seconds = sum(len(u.tokens) for u in utterances) / TOKENS_PER_SECOND / request.speed
        if seconds > MAX_SPEECH_SECONDS:
            raise InvalidRequest(
                f"input would take about {seconds / 60:.0f} minutes to say at this speed and the limit is"
                f" {MAX_SPEECH_SECONDS // 60}; send it in parts",
                param="input",
            )
        whole = bytearray()
        audible = False
        with AudioEncoder(request.format) as encoder:
            for samples in self._speak(utterances, voice, request.speed, job):
                audible = audible or len(samples) > 0
                data = encoder.encode(samples)
                if request.stream and data:
                    job.emit(Audio(data))
                else:
                    whole += data
            if not audible:
                raise RuntimeError("the model made no sound")
            whole += encoder.close()
        for start in range(0, len(whole), MAX_EVENT_BYTES):
            job.emit(Audio(bytes(whole[start : start + MAX_EVENT_BYTES])))

    def _speak(
        self, utterances: list[Utterance], voice: Voice, speed: float, job: Job
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the sound of each utterance with the pause that belongs after it."""
        model = self._synthesizer
        own_speed = min(max(speed, model.slowest), model.fastest)
        for index, utterance in enumerate(utterances, 1):
            job.check()
            samples = model.synthesize(utterance.tokens, voice, speed=own_speed, job=job)
            if not np.isfinite(samples).all():
                raise RuntimeError("the model made samples that are no numbers")
            samples = change_tempo(samples, speed / own_speed, rate=SPEECH_RATE)
            pause = utterance.end.value if index < len(utterances) else _LAST_TAIL_SECONDS
            lead = _LEAD_SECONDS / speed if index > 1 else _LEAD_SECONDS
            yield limit(trim(samples, rate=SPEECH_RATE, lead=lead, tail=pause / speed))


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
