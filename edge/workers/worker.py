"""A model's worker, kept alive: started, watched, restarted with backoff, stopped."""

import enum
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import structlog

from edge.errors import ModelNotLoaded, ModelNotReady, NoCapacity
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


Tell = Callable[[str], None]
"""Takes a few words on how far a load is."""

Prepare = Callable[[Tell], Awaitable[Load]]
"""Makes everything ready for a start and returns its order. Raises StartError."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last start failed, in words and as a machine's word."""

    message: str
    code: str


def backoff_seconds(failures: int, *, jitter: float) -> float:
    """Return the wait before the next start after *failures* in a row: 0.1 s doubling to 30 s.

    *jitter* in [0, 1) shortens it by up to a fifth, so that models that died together start apart.
    """
    if failures <= 0:
        return 0.0
    return min(30.0, 0.1 * 2.0 ** min(failures - 1, 16)) * (1.0 - jitter / 5.0)


class Worker:
    """Serves one model through one process at a time.

    At most *queue_limit* requests are inside. A *persistent* worker tries again when a start fails; any
    other gives up, until it has been loaded once.
    """

    def __init__(
        self,
        name: str,
        prepare: Prepare,
        *,
        queue_limit: int,
        start_seconds: float,
        persistent: bool = True,
    ) -> None:
        self.name = name
        self.state = State.LOADING
        self.queue_limit = queue_limit
        self.persistent = persistent
        self.active = True
        """Whether the model is served, or will be without anybody's doing; never again once it is not."""
        self.failure: Failure | None = None
        """Of the last start, None while another is under way or after one that succeeded."""
        self._prepare = prepare
        self._start_seconds = start_seconds
        self._waiting = 0
        self._process: WorkerProcess | None = None
        self._info: Mapping[str, Any] = {}
        self._closed: str | None = None
        self._changed = anyio.Event()
        self._retry = anyio.Event()
        self._step = "waiting to start"
        self._step_began = time.monotonic()

    @property
    def info(self) -> Mapping[str, Any]:
        """What the engine told about the loaded model; empty until it was loaded once."""
        return self._info

    @property
    def in_flight(self) -> int:
        """How many requests are inside, running, waiting in the engine or for a restart.

        One whose caller has left counts until the engine lets go of it.
        """
        return self._waiting + (self._process.open_requests if self._process is not None else 0)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def progress(self) -> str:
        """How far the load is, and for how many seconds that step has been going on."""
        return f"{self._step}, for {time.monotonic() - self._step_began:.0f} s"

    async def run(self) -> None:
        """Keep a process running until cancelled, then stop it; return at once when a start is given up."""
        failures = 0
        gave_up = False
        try:
            while self._closed is None:
                await self._pause(backoff_seconds(failures, jitter=random.random()))
                lived_seconds = await self._live()
                if lived_seconds is None and not self.persistent:
                    gave_up = True
                    break
                failures = 1 if (lived_seconds or 0.0) > STABLE_SECONDS else failures + 1
        except Exception:
            log.exception("a model's worker failed", model=self.name)
            self._fail(StartError("something unexpected happened; the log tells what"))
            gave_up = True
        finally:
            self.active = False
            if not gave_up:
                self._become(State.UNLOADED)

    def close(self, reason: str) -> None:
        """From now on take no request; those inside end in an error that says *reason*.

        The process is stopped by cancelling :meth:`run`.
        """
        self._closed = self._closed or reason
        self.active = False
        self.failure = None
        self._become(State.UNLOADED)
        if self._process is not None:
            self._process.close(reason)

    def retry(self) -> None:
        """Have a start that failed tried again now, not after its backoff."""
        if self.active and self.state is State.FAILED:
            self._become(State.LOADING)
            self._retry.set()

    async def settled(self) -> State:
        """Wait until the load under way has ended in some state, and return that."""
        while self.state is State.LOADING:
            await self._changed.wait()
        return self.state

    async def _pause(self, seconds: float) -> None:
        self._retry = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._retry.wait()

    async def _live(self) -> float | None:
        """Start a process and serve through it until it dies.

        Return how many seconds it served, None if it did not start.
        """
        self._become(State.LOADING)
        started = time.monotonic()
        try:
            order = await self._prepare(self._tell)
            self._tell("starting")
            process = await WorkerProcess.start(order, start_seconds=self._start_seconds)
        except StartError as error:
            self._fail(error)
            return None
        ready = time.monotonic()
        log.info("model loaded", model=self.name, pid=process.pid, seconds=round(ready - started, 2))
        self._process = process
        self._info = process.info
        self.persistent = True
        self._become(State.LOADED)
        try:
            await process.serve()
            log.error("worker died", model=self.name, pid=process.pid)
        finally:
            self._process = None
            self._tell("starting again")
            self._become(State.LOADING)
            with anyio.CancelScope(shield=True):
                await process.stop()
        return time.monotonic() - ready

    def _tell(self, step: str) -> None:
        self._step = step
        self._step_began = time.monotonic()

    def _fail(self, error: StartError) -> None:
        log.error("model does not load", model=self.name, error=str(error))
        self._become(State.FAILED)
        self.failure = Failure(str(error), error.code)

    def _become(self, state: State) -> None:
        """Take on *state*; one that is closed stays unloaded, whatever becomes of its process."""
        self.state = State.UNLOADED if self._closed is not None else state
        self.failure = None
        self._changed.set()
        self._changed = anyio.Event()

    @asynccontextmanager
    async def request(self, *requests: Request) -> AsyncIterator[EventStream]:
        """Send *requests* and yield their events; leaving the context cancels what is not finished.

        Raises:
            ModelNotLoaded: the model was unloaded, or its load was given up.
            NoCapacity: the queue has no room for all of them.
            ModelNotReady: no process came up in time.
            WorkerFailed: the process died before it took the requests.
        """
        if self.active and self.in_flight + len(requests) > self.queue_limit:
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
            while self.active and self._process is None and self.state is State.LOADING:
                await self._changed.wait()
        if not self.active:
            raise ModelNotLoaded(f"Model not loaded: {self.name}", param="model")
        if self._process is None:
            how = f" ({self.progress})" if self.state is State.LOADING else ""
            raise ModelNotReady(f"The model {self.name} is {self.state}{how}; try again", retry_after=5)
        return self._process
