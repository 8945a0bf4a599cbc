"""The events of a group of requests, on their way from the worker to whoever asked."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from edge.errors import InvalidField, WorkerFailed
from edge.workers.messages import Audio, Event, Failed, Finished, Vectors
from edge.workers.tally import Tally

MAX_WAITING_EVENTS = 16_384
"""Above it the reader is too slow to be served: more than a whole generation lies unread."""

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""The same for audio: more than the longest speech, 4,096 characters at a quarter of the speed, as PCM."""


_LARGE = (Audio, Vectors)


class EventStream:
    """Iterates the events of *size* requests as they come, each with the index of its request.

    The first failure among them ends the whole. It has one reader, whose wait for the next event may be
    cancelled and taken up again: no event is lost.

    Raises on iteration and by :meth:`take`:
        InvalidField: the engine refused a request.
        WorkerFailed: the engine failed, the worker died, or the reader fell too far behind.
    """

    def __init__(self, size: int, cancel: Callable[[], None]) -> None:
        self._running = size
        self._cancel = cancel
        self._events: deque[tuple[int, Event]] = deque()
        self._waiting_bytes = 0
        self._failure: Failed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._patient_until = 0.0
        self.tally = Tally(size)
        self.before_end: Callable[[], Awaitable[None]] | None = None
        """Called before the reader is told of the end, whose wait may be cancelled and taken up again."""

    @property
    def failure(self) -> Failed | None:
        """What ended the requests, if they did not end well."""
        return self._failure

    @property
    def ended(self) -> bool:
        return self._running == 0 or self._failure is not None

    def put(self, index: int, event: Event) -> None:
        if self._failure is not None:
            return
        self.tally.take(index, event)
        if isinstance(event, _LARGE):
            self._waiting_bytes += len(event.data)
        if len(self._events) >= MAX_WAITING_EVENTS or self._waiting_bytes > MAX_WAITING_BYTES:
            self.fail("The answer was not read fast enough")
            return
        self._events.append((index, event))
        self._wake()

    def end(self, end: Finished | Failed) -> None:
        """Take note of how one request ended."""
        self._running -= 1
        if isinstance(end, Failed) and self._failure is None:
            self._failure = end
        self._wake()

    def fail(self, message: str) -> None:
        """End every request that has not ended yet."""
        self._failure = self._failure or Failed(0, message)
        self._wake()

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> tuple[int, Event]:
        while not self._events:
            await self._refuse_at_end()
            await self._change()
        index, event = self._events.popleft()
        if isinstance(event, _LARGE):
            self._waiting_bytes -= len(event.data)
        return index, event

    async def take(self, patience: float) -> list[tuple[int, Event]]:
        """Return every event that is there now; wait for the first for up to *patience* seconds.

        The list is empty if none came in that time.

        Raises:
            StopAsyncIteration: every request has ended, and all their events were taken.
        """
        if not self._events:
            loop = asyncio.get_running_loop()
            self._patient_until = deadline = loop.time() + patience
            if self._alarm is None:
                self._alarm = loop.call_at(deadline, self._ring)
            while not self._events:
                await self._refuse_at_end()
                if loop.time() >= deadline:
                    return []
                await self._change()
        events = list(self._events)
        self._events.clear()
        self._waiting_bytes = 0
        return events

    async def _refuse_at_end(self) -> None:
        if self.ended and self.before_end is not None:
            await self.before_end()
        if self._failure is not None:
            if self._failure.invalid:
                raise InvalidField(self._failure.message, param=self._failure.param)
            raise WorkerFailed(self._failure.message)
        if self._running == 0:
            raise StopAsyncIteration

    def _ring(self) -> None:
        """Wake a reader whose patience is over.

        One alarm serves many waits: setting one for each token would cost more than all else about it.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._patient_until:
            self._alarm = loop.call_at(self._patient_until, self._ring)
        else:
            self._alarm = None
            self._wake()

    async def _change(self) -> None:
        """Return once something has happened since the call."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def drained(self) -> None:
        """Wait until the worker has let go of every request, after :meth:`close`: the tally is final then."""
        while not self.ended:
            await self._change()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Tell the worker that nobody reads the rest. Does nothing after the end."""
        if self._alarm is not None:
            self._alarm.cancel()
        # Whoever is called knows the stream, and the order with its recording. As a cycle they would stay in
        # memory until the garbage collector comes by.
        self.before_end = None
        self._cancel()
