"""Server-sent events made from the events of a worker."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import anyio
import structlog
from starlette.requests import Request

from edge.api.held_stream import Chunks, HeldStream, hold_stream
from edge.errors import WorkerFailed
from edge.workers.messages import Event
from edge.workers.stream import EventStream
from shared.errors import ApiError
from shared.http.json import encode

log = structlog.get_logger(__name__)

HOLD_SECONDS = 10.0
"""How long the status line waits for the first event, so that a refused request gets its own status."""

SILENCE_SECONDS = 10.0
"""After this long without an event a comment is sent: the published client gives up after 30 s."""

DONE = b"data: [DONE]\n\n"
_COMMENT = b": still working\n\n"


def sse(data: Any) -> bytes:
    """Return one server-sent event that carries *data* as JSON."""
    return b"data: " + encode(data) + b"\n\n"


class Shape(Protocol):
    """Turns the events of a request's workers into what its endpoint sends."""

    def opening(self) -> Iterable[dict[str, Any]]:
        """Return what goes before the first event."""

    def feed(self, index: int, event: Event) -> Iterable[dict[str, Any]]:
        """Return what *event* of the choice *index* adds."""

    def closing(self) -> Iterable[dict[str, Any]]:
        """Return what goes after the last event."""

    def failure(self, error: ApiError) -> dict[str, Any]:
        """Return the event that tells of an error in mid-stream."""


async def open_event_source(
    request: Request,
    opened: AbstractAsyncContextManager[EventStream],
    shape: Shape,
    headers: Mapping[str, str],
) -> HeldStream:
    """Enter *opened* and return the response that streams its events in the given *shape*.

    It returns once the first event is there, or HOLD_SECONDS have passed.

    Raises:
        ClientGone: the client left meanwhile.
        ApiError: the worker refused the request or failed before its first event.
    """

    async def begin(stream: EventStream) -> Chunks:
        first = None
        with anyio.move_on_after(HOLD_SECONDS):
            first = await _first(stream)
        return written(first, stream, shape)

    return await hold_stream(
        request,
        opened,
        begin,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **headers},
    )


async def _first(stream: EventStream) -> tuple[int, Event]:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        raise WorkerFailed("The model gave no answer") from None


async def written(first: tuple[int, Event] | None, rest: EventStream, shape: Shape) -> Chunks:
    """Yield *first* and *rest* as server-sent events; ``[DONE]`` ends them, also after an error.

    What is there at the same time leaves in one piece: each write costs more than its events.
    """
    try:
        if piece := _joined(shape.opening(), () if first is None else (first,), shape):
            yield piece
        while True:
            try:
                events = await rest.take(SILENCE_SECONDS)
            except StopAsyncIteration:
                break
            if not events:
                yield _COMMENT
            elif piece := _joined((), events, shape):
                yield piece
        yield _joined(shape.closing(), (), shape) + DONE
    except ApiError as error:
        log.warning("stream failed", error=error.detail)
        yield sse(shape.failure(error)) + DONE


def _joined(start: Iterable[dict[str, Any]], events: Iterable[tuple[int, Event]], shape: Shape) -> bytes:
    pieces = [sse(data) for data in start]
    pieces += [sse(data) for index, event in events for data in shape.feed(index, event)]
    return b"".join(pieces)
