"""``POST /v1/audio/transcriptions``."""

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from edge.api import transcript
from edge.api.answer import Answer, begin
from edge.api.event_source import open_event_source
from edge.api.leaving import unless_gone
from edge.api.metered import metered
from edge.api.parsing import parse_fields
from edge.api.requests import TranscriptionForm
from edge.errors import InvalidField, WorkerFailed
from edge.workers.messages import Event, Segment, Transcribe, Transcribed
from edge.workers.stream import EventStream
from shared.errors import ApiError
from shared.http.json import JsonResponse

MAX_FIELDS = 32
CONTENT_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


async def transcriptions(request: Request) -> Response:
    """Transcribe a recording.

    ``model`` in the query is the job contract: ``sync=true`` or ``stream=true`` says how to answer.
    ``model`` only in the form is OpenAI's: the answer comes at once, or as events with ``stream=true``.
    """
    query = dict(request.query_params)
    asked = await _parse(request, query)
    if asked.sync and asked.stream:
        raise InvalidField("stream: sync and stream cannot both be set", param="stream")
    if asked.model is None:
        raise InvalidField("model: name a speech-to-text model, in the query or in the form", param="model")
    if "model" in query and not asked.sync and not asked.stream:
        raise InvalidField(
            "sync: asynchronous transcription jobs are not served; add sync=true or stream=true to the query",
            param="sync",
        )
    served = request.app.state.models.find_for(asked.model, "stt")
    answer = begin(request, served, "transcript-")
    opened = metered(
        request, served, Transcribe(asked.file, asked.language, asked.prompt, asked.temperature or 0.0)
    )
    if asked.stream:
        return await open_event_source(request, opened, TranscriptShape(answer), answer.headers)
    async with opened as stream:
        segments, end = await unless_gone(request.receive, _all(stream))
    answer.note_times(end.queue_ms, end.inference_ms)
    return _response(asked.response_format or "json", segments, end, answer)


async def _parse(request: Request, query: Mapping[str, str]) -> TranscriptionForm:
    try:
        async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
            return parse_fields({**fields, **query, "file": await _recording(form)}, TranscriptionForm)
    except HTTPException as error:
        raise InvalidField(f"file: {error.detail}", param="file") from None


async def _recording(form: FormData) -> bytes:
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise InvalidField("file: send the recording as the file of a multipart form", param="file")
    return await upload.read()


async def _all(stream: EventStream) -> tuple[list[Segment], Transcribed]:
    segments = []
    async for _, event in stream:
        if isinstance(event, Segment):
            segments.append(event)
        elif isinstance(event, Transcribed):
            return segments, event
    raise WorkerFailed("The model's answer broke off")


def _response(wanted: str, segments: list[Segment], end: Transcribed, answer: Answer) -> Response:
    headers = answer.final_headers
    if wanted in CONTENT_TYPES:
        write = {"text": transcript.plain, "srt": transcript.srt, "vtt": transcript.vtt}[wanted]
        return PlainTextResponse(write(segments), headers=headers, media_type=CONTENT_TYPES[wanted])
    content: dict[str, Any] = {
        "text": transcript.plain(segments),
        "language": end.language,
        "duration": end.duration,
    }
    if wanted == "verbose_json":
        content = transcript.verbose(segments, end)
    return JsonResponse(
        content | {"pg_metadata": answer.metadata, "routing": answer.routing}, headers=headers
    )


class TranscriptShape:
    """OpenAI's transcript events. Their deltas joined are the text of the last event."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._text = ""

    def opening(self) -> Iterable[dict[str, Any]]:
        return ()

    def feed(self, _index: int, event: Event) -> Iterable[dict[str, Any]]:
        if isinstance(event, Segment):
            delta = event.text if self._text else event.text.lstrip()
            self._text += delta
            yield {"type": "transcript.text.delta", "delta": delta}
        elif isinstance(event, Transcribed):
            self._answer.note_times(event.queue_ms, event.inference_ms)
            yield {
                "type": "transcript.text.done",
                "text": self._text,
                "duration": event.duration,
                "language": event.language,
                "pg_metadata": self._answer.metadata,
                "routing": self._answer.routing,
            }

    def closing(self) -> Iterable[dict[str, Any]]:
        return ()

    def failure(self, error: ApiError) -> dict[str, Any]:
        return {"type": "error", "error": error.detail}
