"""Speech to text on faster-whisper."""

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import faster_whisper.transcribe as fw
import numpy as np
from numpy.typing import NDArray

from edge.engines.audio.decoder import HEARING_RATE, decoded
from edge.engines.base import InvalidRequest, Job
from edge.engines.stt.recording import Recording
from edge.engines.turns import Pause, TurnsEngine
from edge.workers.messages import Heard, Segment, Transcribe, Transcribed

MAX_AUDIO_SECONDS = 3600
"""The default of the option ``max_audio_seconds``."""

BEAM_SIZE = 5
"""Whisper's own default."""

FRAMES_PER_SECOND = 100
"""The unit of a segment's ``seek``."""

TEMPERATURE_STEP = 0.2


class Attempts(list[float]):
    """Temperatures, with a pause before each is tried.

    A window of repetitive speech is decoded anew at every one of them, which takes many seconds.
    """

    def __init__(self, temperatures: list[float], pause: Pause) -> None:
        super().__init__(temperatures)
        self._pause = pause

    def __iter__(self) -> Iterator[float]:
        for temperature in super().__iter__():
            self._pause()
            yield temperature


class WhisperEngine(TurnsEngine):
    """Answers ``Transcribe`` with ``Heard``, a ``Segment`` as each is heard, then ``Transcribed``.

    A turn is one attempt at one of Whisper's windows of half a minute, or a part of the work before it.
    """

    def __init__(self, directory: Path, *, threads: int, max_audio_seconds: float) -> None:
        self._model = fw.WhisperModel(
            str(directory), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
        )
        self._languages = list(self._model.supported_languages)
        self._max_audio_seconds = max_audio_seconds
        super().__init__()

    @property
    def info(self) -> dict[str, Any]:
        return {
            "languages": self._languages,
            "sample_rate": HEARING_RATE,
            "max_audio_seconds": self._max_audio_seconds,
        }

    def caller(self, job: Job) -> str:
        return job.request.caller if isinstance(job.request, Transcribe) else ""

    def run(self, job: Job, pause: Pause) -> None:
        request = job.request
        if not isinstance(request, Transcribe):
            raise InvalidRequest("This model transcribes recordings", param="model")
        started = time.perf_counter()
        language = self._language(request)
        temperatures = Attempts(fallback_temperatures(request.temperature), pause)
        with Recording() as recording:
            for samples in decoded(request.audio, max_seconds=self._max_audio_seconds, check=pause):
                recording.append(samples)
            count = 0
            for start, samples in recording.blocks():
                job.emit(Heard(start / HEARING_RATE, recording.seconds))
                heard, segments = self._transcribe(samples, language, request, temperatures)
                pause()
                for segment in segments:
                    job.check()
                    job.emit(_event(segment, count, start))
                    count += 1
                    language = language or heard
                    pause()
            job.emit(
                Transcribed(
                    language=language or "en",  # nothing was said
                    duration=recording.seconds,
                    queue_ms=(started - job.submitted) * 1000,
                    inference_ms=(time.perf_counter() - started) * 1000,
                )
            )

    def _language(self, request: Transcribe) -> str | None:
        """Return the language that is spoken, None to detect it."""
        only = self._languages[0] if len(self._languages) == 1 else None
        if request.translate and only is not None:
            raise InvalidRequest(
                f"model: this model understands {only} only and cannot translate", param="model"
            )
        if request.language is None:
            return only
        language = request.language.strip().lower()
        if language in self._languages:
            return language
        if only is not None:
            raise InvalidRequest(
                f"language: this model understands {only} only, not {request.language[:20]!r}",
                param="language",
            )
        raise InvalidRequest(
            f"language: {request.language[:20]!r} is no language of this model; give an ISO 639-1 code "
            "such as en or fr",
            param="language",
        )

    def _transcribe(
        self, samples: NDArray[np.int16], language: str | None, request: Transcribe, temperatures: list[float]
    ) -> tuple[str, Iterator[fw.Segment]]:
        """Return the language of a block and what is said in it, heard as the iterator advances."""
        segments, facts = self._model.transcribe(
            samples.astype(np.float32) / np.float32(32768),
            language=language,
            task="translate" if request.translate else "transcribe",
            initial_prompt=request.prompt or None,
            temperature=temperatures,
            beam_size=BEAM_SIZE,
            vad_filter=True,
            # A window that hears its predecessor's text may repeat it until the end of the recording.
            condition_on_previous_text=False,
            word_timestamps=request.words,
        )
        return facts.language, iter(segments)


def fallback_temperatures(temperature: float) -> list[float]:
    """Return *temperature* and those that are tried after it when the text looks wrong, up to 1.

    Raises:
        InvalidRequest: it is not between 0 and 1.
    """
    if not 0.0 <= temperature <= 1.0:
        raise InvalidRequest("temperature must be between 0 and 1", param="temperature")
    steps = int((1.0 - temperature) / TEMPERATURE_STEP + 1e-9)
    return [round(temperature + step * TEMPERATURE_STEP, 6) for step in range(steps + 1)]


def _event(segment: fw.Segment, index: int, offset: int) -> Segment:
    """Give *segment*, of a block that begins at sample *offset*, its place in the recording."""
    seconds = offset / HEARING_RATE
    return Segment(
        id=index,
        seek=int(segment.seek) + round(seconds * FRAMES_PER_SECOND),
        start=round(float(segment.start) + seconds, 3),
        end=round(float(segment.end) + seconds, 3),
        text=segment.text,
        tokens=[int(token) for token in segment.tokens],
        temperature=float(segment.temperature or 0.0),
        avg_logprob=float(segment.avg_logprob),
        compression_ratio=float(segment.compression_ratio),
        no_speech_prob=float(segment.no_speech_prob),
        words=None if segment.words is None else [_word(word, seconds) for word in segment.words],
    )


def _word(word: fw.Word, offset: float) -> list[Any]:
    times = round(float(word.start) + offset, 3), round(float(word.end) + offset, 3)
    return [word.word, *times, float(word.probability)]


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> WhisperEngine:
    """Load the CTranslate2 model whose ``model.bin`` is the role ``model``; its other files lie beside it.

    Options: ``threads``, ``max_audio_seconds``.
    """
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it tells of every block of a recording
    return WhisperEngine(
        files["model"].parent,
        threads=options["threads"],
        max_audio_seconds=options.get("max_audio_seconds", MAX_AUDIO_SECONDS),
    )
