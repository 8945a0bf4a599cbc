"""``POST /v1/audio/transcriptions``."""

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from edge.api import transcript
from edge.api.answer import Answer, begin
from edge.api.event_source import open_event_source
from edge.api.leaving import unless_gone
from edge.api.metered import metered
from edge.api.recording_form import parse_recording
from edge.api.requests import TranscriptionForm
from edge.api.transcript import CONTENT_TYPES, Presentation
from edge.api.transcription_jobs import accept
from edge.errors import InvalidField, WorkerFailed
from edge.models.served import ServedModel
from edge.workers.messages import Event, Segment, Transcribe, Transcribed
from edge.workers.stream import EventStream
from shared.errors import ApiError
from shared.http.json import JsonResponse


async def transcriptions(request: Request) -> Response:
    """Transcribe a recording.

    ``model`` in the query is the job contract: the answer is a job to poll, unless ``sync=true`` or
    ``stream=true`` asks for the transcript or for events. ``model`` only in the form is OpenAI's: the answer
    comes at once, or as events with ``stream=true``.
    """
    sent = await parse_recording(request, TranscriptionForm)
    asked = sent.asked
    if asked.sync and asked.stream:
        raise InvalidField("stream: sync and stream cannot both be set", param="stream")
    if asked.model is None:
        raise InvalidField("model: name a speech-to-text model, in the query or in the form", param="model")
    how = _presentation(asked)
    served = request.app.state.models.find_for(asked.model, "stt")
    answer = begin(request, served, "transcript-")
    order = Transcribe(
        audio=asked.file,
        language=_language(asked.language, served),
        prompt=asked.prompt,
        temperature=asked.temperature or 0.0,
        words=how.needs_words,
        caller=request.state.key.id,
    )
    if "model" in request.query_params and not asked.sync and not asked.stream:
        return await accept(request, served, order, how, sent.filename, answer)
    if asked.stream:
        opened = metered(request, served, order)
        return await open_event_source(request, opened, TranscriptShape(answer, how), answer.headers)
    return await transcribed(request, served, order, how, answer)


def _presentation(asked: TranscriptionForm) -> Presentation:
    wanted = asked.response_format or "json"
    if asked.timestamp_granularities and wanted != "verbose_json":
        raise InvalidField(
            "timestamp_granularities: only verbose_json has timestamps; set response_format to it",
            param="timestamp_granularities",
        )
    if asked.include and wanted != "json":
        raise InvalidField(
            "include: only json has log-probabilities; set response_format to it", param="include"
        )
    return Presentation(
        format=wanted,
        words="word" in (asked.timestamp_granularities or ()),
        logprobs="logprobs" in (asked.include or ()),
        punctuation=asked.punctuation is not False,
    )


def _language(asked: str | None, served: ServedModel) -> str | None:
    """Return the language code that *asked* is, if the model, once loaded, knows it.

    The engine refuses the same; here it is refused before there is a job.
    """
    if asked is None:
        return None
    code = asked.strip().lower()
    known = served.worker.info.get("languages")
    if known is None or code in known:
        return code
    if len(known) == 1:
        reason = f"{served.id} understands {known[0]} only, not {asked[:20]!r}"
    else:
        reason = f"{asked[:20]!r} is no language of {served.id}; give an ISO 639-1 code such as en or fr"
    raise InvalidField(f"language: {reason}", param="language")


async def transcribed(
    request: Request, served: ServedModel, order: Transcribe, how: Presentation, answer: Answer
) -> Response:
    """Return the transcript of *order* at once.

    Raises:
        ClientGone: the client left meanwhile.
        ApiError: the worker refused the request or failed.
    """
    async with metered(request, served, order) as stream:
        segments, end = await unless_gone(request.receive, heard(stream))
    answer.note_times(end.queue_ms, end.inference_ms)
    headers = answer.final_headers | {"X-Pg-Audio-Seconds": f"{end.duration:.3f}"}
    # The published client reads JSON alone where it asked for subtitles of a translation.
    if how.format in CONTENT_TYPES and (how.format == "text" or not how.translated):
        body = transcript.text_body(segments, how)
        return PlainTextResponse(body, headers=headers, media_type=CONTENT_TYPES[how.format])
    content = transcript.json_body(segments, end, how)
    return JsonResponse(
        content | {"pg_metadata": answer.metadata, "routing": answer.routing}, headers=headers
    )


async def heard(stream: EventStream) -> tuple[list[Segment], Transcribed]:
    """Return every segment and the end of a transcription.

    Raises:
        ApiError: it ended in an error.
    """
    segments = []
    async for _, event in stream:
        if isinstance(event, Segment):
            segments.append(event)
        elif isinstance(event, Transcribed):
            return segments, event
    raise WorkerFailed("The model's answer broke off")


class TranscriptShape:
    """OpenAI's transcript events. Their deltas joined are the text of the last event."""

    def __init__(self, answer: Answer, how: Presentation) -> None:
        self._answer = answer
        self._how = how
        self._text = ""
        self._logprobs: list[dict[str, Any]] = []

    def opening(self) -> Iterable[dict[str, Any]]:
        return ()

    def feed(self, _index: int, event: Event) -> Iterable[dict[str, Any]]:
        if isinstance(event, Segment):
            segment = self._how.shown(event)
            delta = segment.text if self._text else segment.text.lstrip()
            if not delta:
                return
            self._text += delta
            yield {"type": "transcript.text.delta", "delta": delta} | self._told(segment)
        elif isinstance(event, Transcribed):
            self._answer.note_times(event.queue_ms, event.inference_ms)
            yield {
                "type": "transcript.text.done",
                "text": self._text,
                "duration": event.duration,
                "language": event.language,
                "usage": transcript.usage(event),
                "pg_metadata": self._answer.metadata,
                "routing": self._answer.routing,
            } | ({"logprobs": self._logprobs} if self._how.logprobs else {})

    def _told(self, segment: Segment) -> dict[str, Any]:
        if not self._how.logprobs:
            return {}
        logprobs = transcript.logprobs(segment)
        self._logprobs += logprobs
        return {"logprobs": logprobs}

    def closing(self) -> Iterable[dict[str, Any]]:
        return ()

    def failure(self, error: ApiError) -> dict[str, Any]:
        return {"type": "error", "error": error.detail}
