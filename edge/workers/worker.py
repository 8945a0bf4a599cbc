"""A model's worker, kept alive: started, watched, restarted with backoff, stopped."""

import enum
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import structlog

from edge.errors import ModelNotReady, NoCapacity
from edge.workers.messages import Load, Request
from edge.workers.process import StartError, WorkerProcess
from edge.workers.stream import EventStream

log = structlog.get_logger(__name__)

READY_WAIT_SECONDS = 20.0
"""How long a request waits for a worker that is being replaced: under the 30 s after which the published
client gives up and sends the request again."""

STABLE_SECONDS = 60.0
"""A worker that lived this long was healthy: the next restart is immediate again."""


class State(enum.StrEnum):
    """As ``/v1/models/status`` tells it."""

    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"
    UNLOADED = "unloaded"


def backoff_seconds(failures: int, *, jitter: float) -> float:
    """Return the wait before the next start after *failures* in a row: 0.1 s doubling to 30 s.

    *jitter* in [0, 1) shortens it by up to a fifth, so that models that died together start apart.
    """
    if failures <= 0:
        return 0.0
    return min(30.0, 0.1 * 2.0 ** min(failures - 1, 16)) * (1.0 - jitter / 5.0)


class Worker:
    """Serves one model through one process at a time.

    At most *queue_limit* requests are inside.
    """

    def __init__(self, name: str, order: Load, *, queue_limit: int, start_seconds: float) -> None:
        self.name = name
        self.state = State.LOADING
        self.queue_limit = queue_limit
        self._order = order
        self._waiting = 0
        self._start_seconds = start_seconds
        self._process: WorkerProcess | None = None
        self._changed = anyio.Event()

    @property
    def info(self) -> Mapping[str, Any]:
        """What the engine told about the loaded model; empty until it is loaded."""
        return self._process.info if self._process is not None else {}

    @property
    def in_flight(self) -> int:
        """How many requests are inside, running, waiting in the engine or for a restart.

        One whose caller has left counts until the engine lets go of it.
        """
        return self._waiting + (self._process.open_requests if self._process is not None else 0)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Keep a process running until cancelled; then stop it and return."""
        failures = 0
        try:
            while True:
                await anyio.sleep(backoff_seconds(failures, jitter=random.random()))
                lived_seconds = await self._live()
                failures = 1 if lived_seconds > STABLE_SECONDS else failures + 1
        finally:
            self._become(State.UNLOADED)

    async def _live(self) -> float:
        """Start a process and serve through it until it dies; return how many seconds it served."""
        self._become(State.LOADING)
        started = time.monotonic()
        try:
            process = await WorkerProcess.start(self._order, start_seconds=self._start_seconds)
        except StartError as error:
            self._become(State.FAILED)
            log.error("model does not load", model=self.name, error=str(error))
            return 0.0
        ready = time.monotonic()
        log.info("model loaded", model=self.name, pid=process.pid, seconds=round(ready - started, 2))
        self._process = process
        self._become(State.LOADED)
        try:
            await process.serve()
            log.error("worker died", model=self.name, pid=process.pid)
        finally:
            self._process = None
            self._become(State.LOADING)
            with anyio.CancelScope(shield=True):
                await process.stop()
        return time.monotonic() - ready

    def _become(self, state: State) -> None:
        self.state = state
        self._changed.set()
        self._changed = anyio.Event()

    @asynccontextmanager
    async def request(self, *requests: Request) -> AsyncIterator[EventStream]:
        """Send *requests* and yield their events; leaving the context cancels what is not finished.

        Raises:
            NoCapacity: the queue has no room for all of them.
            ModelNotReady: no process came up in time.
            WorkerFailed: the process died before it took the requests.
        """
        if self.in_flight + len(requests) > self.queue_limit:
            raise NoCapacity(f"The model {self.name} has all the requests it can hold; try again")
        self._waiting += len(requests)
        try:
            process = await self._ready()
        finally:
            self._waiting -= len(requests)
        stream = await process.submit(requests)
        try:
            yield stream
        finally:
            stream.close()

    async def _ready(self) -> WorkerProcess:
        with anyio.move_on_after(READY_WAIT_SECONDS):
            while self._process is None and self.state is State.LOADING:
                await self._changed.wait()
        if self._process is None:
            raise ModelNotReady(f"The model {self.name} is {self.state}; try again", retry_after=5)
        return self._process
