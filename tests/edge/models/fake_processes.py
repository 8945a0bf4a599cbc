"""Worker processes that are none: a test decides when they come up, answer and die."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from edge.workers.messages import Finished, Load, Request, Text
from edge.workers.process import DIED, StartError
from edge.workers.stream import EventStream


class FakeProcess:
    """Stands in for :class:`edge.workers.process.WorkerProcess`."""

    def __init__(self, host: "FakeHost", name: str) -> None:
        self.info: Mapping[str, Any] = {}
        self._host = host
        self._name = name
        self._closed: str | None = None
        self._dead = asyncio.Event()
        self._streams: list[EventStream] = []

    @property
    def pid(self) -> int:
        return id(self)

    @property
    def open_requests(self) -> int:
        return len(self._streams)

    async def serve(self) -> None:
        try:
            await self._dead.wait()
        finally:
            self.close(DIED)

    def close(self, reason: str) -> None:
        self._closed = self._closed or reason
        for stream in self._streams:
            stream.fail(self._closed)
        self._streams.clear()

    async def submit(self, requests: Sequence[Request]) -> EventStream:
        assert self._closed is None
        assert self._host.running.get(self._name) is self, "a request went to a process that is gone"
        stream = EventStream(len(requests), lambda: self._forget(stream))
        self._streams.append(stream)
        return stream

    def _forget(self, stream: EventStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)

    def answer(self) -> None:
        """Finish the oldest request."""
        if self._streams:
            stream = self._streams.pop(0)
            stream.put(0, Text("answer"))
            stream.end(Finished(0))

    def die(self) -> None:
        self._dead.set()

    async def stop(self) -> None:
        self.close(DIED)
        for _ in range(7):
            await asyncio.sleep(0)
        assert self._host.running.pop(self._name) is self


class FakeHost:
    """The machine that they run on. There is at most one process of a model, or the test fails."""

    def __init__(self) -> None:
        self.running: dict[str, FakeProcess] = {}
        self.starting: dict[str, asyncio.Future[bool]] = {}
        self.trouble: list[str] = []

    async def start(self, order: Load, *, start_seconds: float) -> FakeProcess:
        """Take the place of ``WorkerProcess.start``; :meth:`come_up` says how it goes on."""
        name = order.files["model"].split("/")[-2]
        if name in self.running or name in self.starting:
            self.trouble.append(f"two processes of {name}")
        self.starting[name] = future = asyncio.get_running_loop().create_future()
        try:
            came_up = await future
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0)
            del self.starting[name]
        if not came_up:
            raise StartError("it does not come up")
        self.running[name] = process = FakeProcess(self, name)
        return process

    def come_up(self, name: str, *, well: bool) -> None:
        future = self.starting.get(name)
        if future is not None and not future.done():
            future.set_result(well)
