"""Transcribes what an engine said."""

from dataclasses import dataclass

from edge.engines.stt import WhisperEngine
from edge.workers.messages import Heard, Segment, Transcribe, Transcribed
from tests.edge.engines.running import run


@dataclass(frozen=True)
class Transcript:
    segments: list[Segment]
    end: Transcribed

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()


@dataclass(frozen=True)
class Listener:
    engine: WhisperEngine

    def hear(self, audio: bytes, *, language: str | None = None, prompt: str | None = None) -> Transcript:
        return transcript(self.engine, Transcribe(audio, language=language, prompt=prompt))


def transcript(engine: WhisperEngine, request: Transcribe) -> Transcript:
    *segments, end = [event for event in run(engine, request) if not isinstance(event, Heard)]
    assert isinstance(end, Transcribed)
    assert all(isinstance(segment, Segment) for segment in segments)
    return Transcript([segment for segment in segments if isinstance(segment, Segment)], end)
