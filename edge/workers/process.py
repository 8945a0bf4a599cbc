"""One worker process and the connection to it, seen from the gateway."""

import asyncio
import contextlib
import itertools
import math
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import anyio
import structlog

from edge.errors import WorkerFailed
from edge.workers.messages import (
    Cancel,
    Decoder,
    Emit,
    Failed,
    Finished,
    Load,
    LoadFailed,
    Message,
    Ping,
    Pong,
    ProtocolError,
    Ready,
    Request,
    Submit,
    encode,
)
from edge.workers.stream import EventStream

log = structlog.get_logger(__name__)

PING_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""A worker that leaves pings unanswered this long hangs; it is killed and replaced."""

STUCK_SECONDS = 120.0
"""So does an engine that has not let go of a cancelled request for this long: its process still answers
pings, but engines look for cancellation between steps, which take seconds at most."""

STOP_SECONDS = 2.0
"""What a worker gets to end by itself, once its connection is closed, before it is killed."""

_READ_BYTES = 256 * 1024


DIED = "The model's worker process died; the model is being restarted"


class StartError(Exception):
    """The worker did not come up; the message says why, ``code`` in a machine's word."""

    code = "load_failed"


@dataclass(slots=True)
class _Open:
    """A request that the worker has not ended yet; *index* is its place in its stream."""

    stream: EventStream
    index: int
    cancelled_at: float | None = None


class WorkerProcess:
    """A running worker with its model loaded. Made by :meth:`start`; many requests share it at once."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._open: dict[int, _Open] = {}
        self._ids = itertools.count(1)
        self._unanswered_pings = 0
        self._closed: str | None = None
        self.info: Mapping[str, Any] = {}

    @classmethod
    async def start(cls, order: Load, *, start_seconds: float) -> Self:
        """Start a process, have it load a model, and return once it is ready.

        Raises:
            StartError: it died, refused the model, or took longer than *start_seconds*.
        """
        try:
            worker = cls(*await _spawn())
        except OSError as error:
            raise StartError(f"no process can be started: {error.strerror or error}") from error
        try:
            with anyio.fail_after(start_seconds):
                await worker._send(order)
                worker.info = await worker._ready()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await worker.stop()
            if isinstance(error, TimeoutError):
                raise StartError(f"the model did not load within {start_seconds:g} s") from None
            if isinstance(error, ConnectionError | ProtocolError):
                raise StartError("the worker died while it loaded the model") from error
            raise
        return worker

    async def _ready(self) -> Mapping[str, Any]:
        while data := await self._reader.read(_READ_BYTES):
            for message in self._decoder.feed(data):
                if isinstance(message, Ready):
                    return message.info
                if isinstance(message, LoadFailed):
                    raise StartError(message.message)
        raise StartError("the worker died while it loaded the model")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def serve(self) -> None:
        """Deliver events until the worker is gone; every request under way then ends in WorkerFailed."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._ping)
                await self._deliver()
                tasks.cancel_scope.cancel()
        finally:
            self.close(DIED)

    def close(self, reason: str) -> None:
        """Take no more requests, and end every one under way in a WorkerFailed that says *reason*."""
        self._closed = self._closed or reason
        for request in self._open.values():
            request.stream.fail(self._closed)
        self._open.clear()

    async def _deliver(self) -> None:
        try:
            while data := await self._reader.read(_READ_BYTES):
                for message in self._decoder.feed(data):
                    self._take(message)
        except (ConnectionError, ProtocolError) as error:
            log.error("worker connection broken", pid=self.pid, error=str(error))

    def _take(self, message: Message) -> None:
        if isinstance(message, Emit):
            request = self._open.get(message.id)
            if request is None:
                return
            if request.cancelled_at is None:
                request.stream.put(request.index, message.event)
            else:
                request.stream.tally.take(request.index, message.event)
        elif isinstance(message, Finished | Failed):
            request = self._open.pop(message.id, None)
            if request is not None:
                request.stream.end(message)
        elif isinstance(message, Pong):
            self._unanswered_pings = 0

    async def _ping(self) -> None:
        for sequence in itertools.count():
            await anyio.sleep(PING_SECONDS)
            if self._unanswered_pings * PING_SECONDS >= SILENCE_SECONDS or self._is_stuck():
                log.error("worker hangs", pid=self.pid, open_requests=self.open_requests)
                self._kill()
                return
            self._unanswered_pings += 1
            with contextlib.suppress(ConnectionError):  # _deliver sees it too, and ends
                await self._send(Ping(sequence))

    def _is_stuck(self) -> bool:
        since = (request.cancelled_at for request in self._open.values() if request.cancelled_at is not None)
        return time.monotonic() - min(since, default=math.inf) > STUCK_SECONDS

    @property
    def open_requests(self) -> int:
        """How many requests the worker holds, also such whose callers have left, until it lets them go."""
        return len(self._open)

    async def submit(self, requests: Sequence[Request]) -> EventStream:
        """Send *requests* to the worker and return their events. They count as open from the call on.

        Raises:
            WorkerFailed: the worker is gone.
        """
        if self._closed:
            raise WorkerFailed(self._closed)
        ids = [next(self._ids) for _ in requests]
        stream = EventStream(len(ids), lambda: self._cancel(ids))
        self._open |= {request_id: _Open(stream, index) for index, request_id in enumerate(ids)}
        sent = 0
        try:
            for request_id, request in zip(ids, requests, strict=True):
                frame = encode(Submit(request_id, request))
                if self._closed:  # while the one before was being sent
                    raise WorkerFailed(self._closed)
                sent += 1
                self._writer.write(frame)
                await self._writer.drain()
        except BaseException as error:
            for request_id in ids[sent:]:
                self._open.pop(request_id, None)
            stream.close()
            if isinstance(error, ConnectionError):
                raise WorkerFailed(self._closed or DIED) from None
            raise
        return stream

    def _cancel(self, ids: Sequence[int]) -> None:
        for request_id in ids:
            request = self._open.get(request_id)
            if request is not None and request.cancelled_at is None and not self._closed:
                request.cancelled_at = time.monotonic()
                self._writer.write(encode(Cancel(request_id)))

    async def _send(self, message: Message) -> None:
        self._writer.write(encode(message))
        await self._writer.drain()

    async def stop(self) -> None:
        """Close the connection, which tells the worker to end, and kill it if it does not."""
        self._writer.close()
        with anyio.move_on_after(STOP_SECONDS):
            await self._process.wait()
        self._kill()
        await self._process.wait()

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


async def _spawn() -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge.workers.child", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    return process, reader, writer
