"""Several jobs at once on one thread, a step of each in turn."""

import logging
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edge.engines.base import Cancelled, Job

log = logging.getLogger(__name__)

T = TypeVar("T")


class Turns(Generic[T]):
    """Who is next: the callers in turn, and what each of them asked in turn, however much that is."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, caller: str, item: T) -> None:
        """Put *item* behind all others of *caller*; one who has nothing here comes after all who have."""
        self._waiting.setdefault(caller, deque()).append(item)

    def take(self) -> T:
        """Remove and return what is next.

        Raises:
            LookupError: nothing waits.
        """
        if not self._waiting:
            raise LookupError("nothing waits")
        caller, items = next(iter(self._waiting.items()))
        item = items.popleft()
        if items:
            self._waiting.move_to_end(caller)
        else:
            del self._waiting[caller]
        return item

    def remove(self, caller: str, item: T) -> bool:
        """Remove *item* of *caller*; return whether it was there."""
        items = self._waiting.get(caller, deque())
        if item not in items:
            return False
        items.remove(item)
        if not items:
            del self._waiting[caller]
        return True


@dataclass(frozen=True, slots=True, eq=False)
class _Running:
    job: Job
    steps: Generator[None, None, None]


class TurnEngine(ABC):
    """Runs many jobs on a thread of its own, a step at a time, as :class:`Turns` has it: a short one never
    waits for the whole of a long one.

    A subclass implements :meth:`steps`. What it raises ends the job with that error. A job whose
    caller leaves between two of its steps ends at once.
    """

    def __init__(self) -> None:
        self._turns: Turns[_Running] = Turns()
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, name=type(self).__name__, daemon=True).start()

    @property
    def info(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def steps(self, job: Job) -> Generator[None, None, None]:
        """Answer *job*: emit its events, and yield where others may have their turn."""

    def rest(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what only work needs; called on the engine's thread once nothing waits any more."""

    def submit(self, job: Job) -> None:
        self._wait(_Running(job, self.steps(job)))

    def _wait(self, running: _Running) -> None:
        # In this order: from the moment that it waits, a step may set what stops it.
        running.job.on_cancel(lambda: self._drop(running))
        with self._changed:
            self._turns.put(running.job.caller, running)
            self._changed.notify()

    def _drop(self, running: _Running) -> None:
        with self._changed:
            if not self._turns.remove(running.job.caller, running):
                return
        running.steps.close()
        running.job.finish(Cancelled())

    def _next(self) -> _Running:
        with self._changed:
            self._changed.wait_for(lambda: len(self._turns))
            return self._turns.take()

    def _serve(self) -> None:
        while True:
            self._step(self._next())
            with self._changed:
                idle = not len(self._turns)
            if idle:
                try:
                    self.rest()
                except Exception:
                    log.exception("the engine keeps what it could give back")

    def _step(self, running: _Running) -> None:
        try:
            running.job.check()
            next(running.steps)
        except StopIteration:
            running.job.finish()
        except Exception as error:  # noqa: BLE001 - whatever a model raises ends this job only
            running.steps.close()
            running.job.finish(error)
        else:
            self._wait(running)
