"""A transcript in each of the formats that a client may ask for. Pure functions."""

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from edge.workers.messages import Segment, Transcribed

CONTENT_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
"""Of the formats that are no JSON."""

_LANGUAGE_OF_TRANSLATIONS = "english"
"""As OpenAI says it."""

_SYMBOLS = frozenset("%&@#*/\\_")
"""What Unicode calls punctuation and is read aloud."""

_MIN_PROBABILITY = 1e-9


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a transcript is to be shown."""

    format: str = "json"
    words: bool = False
    """Tell the times of the words, in ``verbose_json``."""
    logprobs: bool = False
    punctuation: bool = True
    translated: bool = False

    @classmethod
    def restore(cls, stored: Mapping[str, Any]) -> Self:
        """Return the presentation that ``asdict`` was taken of."""
        return cls(**stored)

    @property
    def needs_words(self) -> bool:
        """Whether the engine must tell each word."""
        return self.words or self.logprobs

    def shown(self, segment: Segment) -> Segment:
        """Return *segment* as its text is to be read."""
        if self.punctuation:
            return segment
        words = segment.words and [[without_punctuation(word), *rest] for word, *rest in segment.words]
        return replace(segment, text=without_punctuation(segment.text), words=words)


def without_punctuation(text: str) -> str:
    """Return *text* without punctuation marks, but for those within a word or a number.

    Its leading space, which parts it from what is before, stays.
    """
    padded = f" {text} "
    kept = "".join(
        mark
        for before, mark, after in zip(padded, padded[1:], padded[2:], strict=False)
        if not unicodedata.category(mark).startswith("P")
        or mark in _SYMBOLS
        or (before.isalnum() and after.isalnum())
    )
    words = " ".join(kept.split())
    return f" {words}" if words and text[:1].isspace() else words


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


_WRITERS = {"text": plain, "srt": srt, "vtt": vtt}


def text_body(segments: Sequence[Segment], how: Presentation) -> str:
    """Return the body of a format among ``CONTENT_TYPES``."""
    return _WRITERS[how.format]([how.shown(segment) for segment in segments])


def json_body(segments: Sequence[Segment], end: Transcribed, how: Presentation) -> dict[str, Any]:
    """Return the transcript as JSON. ``text`` is formatted where srt or vtt is asked for."""
    segments = [how.shown(segment) for segment in segments]
    body: dict[str, Any] = {
        "text": _WRITERS.get(how.format, plain)(segments),
        "language": end.language,
        "duration": end.duration,
        "usage": usage(end),
    }
    if how.logprobs:
        body["logprobs"] = [entry for segment in segments for entry in logprobs(segment)]
    if how.format == "verbose_json":
        body |= {"task": "transcribe", "segments": [_segment(segment) for segment in segments]}
        if how.words:
            body["words"] = [_word(word) for segment in segments for word in segment.words or ()]
        if how.translated:
            body |= {"task": "translate", "language": _LANGUAGE_OF_TRANSLATIONS}
    return body


def usage(end: Transcribed) -> dict[str, Any]:
    """Return what is billed: the seconds of the recording."""
    return {"type": "duration", "seconds": end.duration}


def logprobs(segment: Segment) -> list[dict[str, Any]]:
    """Return the log-probability of every word of *segment*: of its tokens on average."""
    return [
        {"token": word, "bytes": list(word.encode()), "logprob": math.log(max(probability, _MIN_PROBABILITY))}
        for word, _start, _end, probability in segment.words or ()
    ]


def _segment(segment: Segment) -> dict[str, Any]:
    fields = asdict(segment)
    del fields["words"]
    return fields


def _word(word: Sequence[Any]) -> dict[str, Any]:
    text, start, end, _probability = word
    return {"word": text.strip(), "start": start, "end": end}


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{milliseconds:03}"
