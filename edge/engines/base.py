"""What a worker process asks of an engine, whatever the model does."""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from edge.workers.messages import Event, Request


class InvalidRequest(Exception):
    """The caller must change the request; ``param`` names the field at fault."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Cancelled(Exception):
    """The caller has left; raised by :meth:`Job.check` to unwind out of a long computation."""


class Job:
    """One request on its way through an engine. Every method may be called from any thread."""

    def __init__(
        self,
        request: Request,
        emit: Callable[[Event], None],
        done: Callable[[BaseException | None], None],
    ) -> None:
        self.request = request
        self.emit = emit
        """Send an event to the gateway. Never blocks."""
        self._done = done
        self._cancelled = False
        self._stop: Callable[[], None] | None = None
        self.submitted = time.perf_counter()

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        self._cancelled = True
        stop = self._stop
        if stop is not None:
            stop()

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Have *stop* called, from another thread and perhaps twice, once the caller has left."""
        self._stop = stop
        if self._cancelled:
            stop()

    def check(self) -> None:
        """Raise Cancelled once the caller has left."""
        if self._cancelled:
            raise Cancelled

    def finish(self, error: BaseException | None = None) -> None:
        """End the job; call it exactly once. *error* tells the caller why there is no answer."""
        # It mostly knows the job: in a cycle they would keep its request until the garbage collector comes.
        self._stop = None
        self._done(error)


class Engine(Protocol):
    """A loaded model. Built by ``load(files, options)``, which may take long and may raise."""

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]:
        """Facts about the loaded model for the gateway: ``context_tokens``, ``parameters`` and the like."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Take *job* and return at once. Its events and its end come from the engine's own threads."""


Loader = Callable[[Mapping[str, Path], Mapping[str, Any]], Engine]
"""``load(files, options)``: every engine package has one. ``files`` maps roles to paths."""


class SerialEngine(ABC):
    """Runs one job at a time on a thread of its own: the simplest way to be an :class:`Engine`.

    A subclass implements :meth:`run`. What it raises ends the job with that error. A job whose caller leaves
    before its turn ends at once.
    """

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, name=type(self).__name__, daemon=True).start()

    @property
    def info(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def run(self, job: Job) -> None:
        """Answer *job*: emit its events and return. Call ``job.check()`` between steps."""

    def submit(self, job: Job) -> None:
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        job.on_cancel(lambda: self._drop(job))

    def _drop(self, job: Job) -> None:
        with self._changed:
            if job not in self._waiting:
                return
            self._waiting.remove(job)
        job.finish(Cancelled())

    def _next(self) -> Job:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            return self._waiting.popleft()

    def _serve(self) -> None:
        while True:
            job = self._next()
            error: BaseException | None = None
            try:
                job.check()
                self.run(job)
            except Exception as caught:  # noqa: BLE001 - whatever a model raises ends this job only
                error = caught
            job.finish(error)
            del job, error  # their payload and traceback must not outlive them until the next job comes
