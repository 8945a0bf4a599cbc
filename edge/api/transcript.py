"""A transcript in each of the formats that a client may ask for. Pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from edge.workers.messages import Segment, Transcribed


def plain(segments: Iterable[Segment]) -> str:
    """Return the whole text. Segments carry their own leading spaces."""
    return "".join(segment.text for segment in segments).strip()


def srt(segments: Sequence[Segment]) -> str:
    """Return SubRip subtitles."""
    return "".join(
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{segment.text.strip()}\n\n"
        for number, segment in enumerate(segments, 1)
    )


def vtt(segments: Sequence[Segment]) -> str:
    """Return WebVTT subtitles. ``-->`` may not stand in a cue's text, so it is written ``->``."""
    cues = "".join(
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n"
        f"{segment.text.strip().replace('-->', '->')}\n\n"
        for segment in segments
    )
    return f"WEBVTT\n\n{cues}"


def verbose(segments: Sequence[Segment], end: Transcribed) -> dict[str, Any]:
    """Return OpenAI's ``verbose_json``."""
    return {
        "task": "transcribe",
        "language": end.language,
        "duration": end.duration,
        "text": plain(segments),
        "segments": [asdict(segment) for segment in segments],
    }


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{milliseconds:03}"
