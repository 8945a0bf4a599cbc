"""The events of a group of requests, on their way from the worker to whoever asked."""

import asyncio
from collections import deque
from collections.abc import Callable

from edge.errors import InvalidField, WorkerFailed
from edge.workers.messages import Audio, Event, Failed, Finished, Vectors

MAX_WAITING_EVENTS = 16_384
"""Above it the reader is too slow to be served: more than a whole generation lies unread."""

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""The same for audio: more than the longest speech, 4,096 characters at a quarter of the speed, as PCM."""


class EventStream:
    """Iterates the events of *size* requests as they come, each with the index of its request.

    The first failure among them ends the whole. Waiting for the next event may be cancelled and taken up
    again: no event is lost.

    Raises on iteration:
        InvalidField: the engine refused a request.
        WorkerFailed: the engine failed, the worker died, or the reader fell too far behind.
    """

    def __init__(self, size: int, cancel: Callable[[], None]) -> None:
        self._running = size
        self._cancel = cancel
        self._events: deque[tuple[int, Event]] = deque()
        self._waiting_bytes = 0
        self._failure: Failed | None = None
        self._wake = asyncio.Event()

    def put(self, index: int, event: Event) -> None:
        if self._failure is not None:
            return
        self._waiting_bytes += _bytes_of(event)
        if len(self._events) >= MAX_WAITING_EVENTS or self._waiting_bytes > MAX_WAITING_BYTES:
            self.fail("The answer was not read fast enough")
            return
        self._events.append((index, event))
        self._wake.set()

    def end(self, end: Finished | Failed) -> None:
        """Take note of how one request ended."""
        self._running -= 1
        if isinstance(end, Failed) and self._failure is None:
            self._failure = end
        self._wake.set()

    def fail(self, message: str) -> None:
        """End every request that has not ended yet."""
        self._failure = self._failure or Failed(0, message)
        self._wake.set()

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> tuple[int, Event]:
        while not self._events:
            if self._failure is not None:
                if self._failure.invalid:
                    raise InvalidField(self._failure.message, param=self._failure.param)
                raise WorkerFailed(self._failure.message)
            if self._running == 0:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        index, event = self._events.popleft()
        self._waiting_bytes -= _bytes_of(event)
        return index, event

    def close(self) -> None:
        """Tell the worker that nobody reads the rest. Does nothing after the end."""
        self._cancel()


def _bytes_of(event: Event) -> int:
    return len(event.data) if isinstance(event, Audio | Vectors) else 0
