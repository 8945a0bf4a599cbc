"""``POST /v1/audio/speech``."""

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, aclosing

from starlette.requests import Request
from starlette.responses import Response

from edge.api.answer import begin
from edge.api.held_stream import Chunks, HeldStream, hold_stream
from edge.api.leaving import unless_gone
from edge.api.metered import metered
from edge.api.parsing import parse_json
from edge.api.requests import SpeechRequest
from edge.engines.audio.formats import FORMATS
from edge.errors import InvalidField, SynthesisFailed, WorkerFailed
from edge.workers.messages import Audio, Speak, Spoken
from edge.workers.stream import EventStream

HINT = "GET /v1/audio/voices lists the voices"


async def speech(request: Request) -> Response:
    """Speak a text: the whole file, or with ``stream`` the sound as it is made."""
    body = await parse_json(request, SpeechRequest)
    served = request.app.state.models.find_for(body.model, "tts")
    answer = begin(request, served, "speech-")
    wanted = body.response_format or "pcm"
    audio = FORMATS[wanted]
    if body.stream and not audio.streams:
        streamed = " and ".join(name for name, other in FORMATS.items() if other.streams)
        raise InvalidField(
            f"response_format: {wanted} cannot be streamed; {streamed} can", param="response_format"
        )
    order = Speak(
        body.input,
        body.voice,
        wanted,
        body.speed or 1.0,
        stream=bool(body.stream),
        caller=request.state.key.id,
    )
    opened = metered(request, served, order)
    try:
        if body.stream:
            return await open_audio(request, opened, audio.content_type, answer.headers)
        async with opened as stream:
            data, spoken = await unless_gone(request.receive, _all(stream))
    except InvalidField as error:
        if error.param == "voice":
            # The published API answers an unknown voice like every other failed synthesis.
            raise SynthesisFailed(f"{error.detail}; {HINT}", param="voice") from error
        raise
    answer.note_times(spoken.queue_ms, spoken.inference_ms)
    headers = answer.final_headers | {
        "X-Pg-Inference-Ms": str(round(spoken.inference_ms)),
        "X-Pg-Characters": str(spoken.characters),
        "X-Pg-Audio-Seconds": f"{spoken.seconds:.3f}",
    }
    return Response(data, headers=headers, media_type=audio.content_type)


async def open_audio(
    request: Request,
    opened: AbstractAsyncContextManager[EventStream],
    content_type: str,
    headers: Mapping[str, str],
) -> HeldStream:
    """Enter *opened* and return the response that streams its audio, once the first piece is there.

    Raises:
        ClientGone: the client left meanwhile.
        ApiError: there is no first piece; the status says why.
    """
    started = time.perf_counter()
    response = await hold_stream(request, opened, _begin, media_type=content_type, headers=headers)
    response.headers["X-Pg-First-Byte-Ms"] = str(round((time.perf_counter() - started) * 1000))
    return response


async def _begin(stream: EventStream) -> Chunks:
    pieces = _pieces(stream)
    try:
        first = await anext(pieces)
    except StopAsyncIteration:
        raise SynthesisFailed("The voice made no sound of this input") from None
    return _replayed(first, pieces)


async def _replayed(first: bytes, rest: Chunks) -> Chunks:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


async def _pieces(stream: EventStream) -> Chunks:
    async for _, event in stream:
        if isinstance(event, Audio) and event.data:
            yield event.data


async def _all(stream: EventStream) -> tuple[bytes, Spoken]:
    pieces: list[bytes] = []
    async for _, event in stream:
        if isinstance(event, Audio):
            pieces.append(event.data)
        elif isinstance(event, Spoken):
            if not any(pieces):
                raise SynthesisFailed("The voice made no sound of this input")
            return b"".join(pieces), event
    raise WorkerFailed("The model's answer broke off")
