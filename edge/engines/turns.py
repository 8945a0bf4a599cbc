"""An engine whose callers take turns."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from greenlet import greenlet

from edge.engines.base import Cancelled, Job

log = logging.getLogger(__name__)

T = TypeVar("T")

TURN_SECONDS = 0.05
"""A pause in a turn that has not lasted as long is none: what costs nothing is no turn."""

OPEN_PER_CALLER = 4
"""Jobs of one caller that have begun and not ended: each of them holds its input and what it made of it."""


class Turns(Generic[T]):
    """Decides whose turn is next. Callers take turns, and so do each caller's items among themselves.

    At most *open_per_caller* items of a caller take turns; his others wait behind them in their order.
    """

    def __init__(self, open_per_caller: int = OPEN_PER_CALLER) -> None:
        self._open_per_caller = open_per_caller
        self._callers: OrderedDict[str, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._callers)

    def add(self, caller: str, item: T) -> None:
        self._callers.setdefault(caller, deque()).append(item)

    def next(self) -> T:
        """Return the item whose turn it is, and send its caller and it to the end of their lines."""
        caller, items = next(iter(self._callers.items()))
        self._callers.move_to_end(caller)
        item = items.popleft()
        items.insert(min(len(items), self._open_per_caller - 1), item)
        return item

    def find(self, wanted: Callable[[T], bool]) -> T | None:
        """Return an item that is *wanted*, None if there is none; the lines stay as they are."""
        return next((item for items in self._callers.values() for item in items if wanted(item)), None)

    def remove(self, caller: str, item: T) -> bool:
        """Take *item* out; False if it is not there."""
        items = self._callers.get(caller)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._callers[caller]
        return True


class _Task:
    """A job and, once it has begun, where in its work it stands."""

    def __init__(self, job: Job, caller: str, run: "Run") -> None:
        self.job = job
        self.caller = caller
        self._run = run
        self._work: greenlet | None = None
        self._turn_ends = 0.0

    @property
    def begun(self) -> bool:
        return self._work is not None

    def take_turn(self) -> bool:
        """Do a part of the job; False if it was the last. Raises what ends the job."""
        if self._work is None:
            self.job.check()
            self._work = greenlet(lambda: self._run(self.job, self._pause))
        self._turn_ends = time.monotonic() + TURN_SECONDS
        self._work.switch()
        return not self._work.dead

    def _pause(self) -> None:
        self.job.check()
        work = greenlet.getcurrent()
        if time.monotonic() > self._turn_ends and work.parent is not None:
            work.parent.switch()
            self.job.check()


Pause = Callable[[], None]
Run = Callable[[Job, Pause], None]


class TurnsEngine(ABC):
    """Does a part of each of many jobs in turn, on one thread: whoever asks for much delays nobody for long.

    A subclass implements :meth:`run`, whose work may be left and taken up again wherever it pauses, however
    deep in calls into a library: each job is a greenlet. What it raises ends the job with that error. A job
    whose caller leaves ends after the turn that is under way.
    """

    open_per_caller = OPEN_PER_CALLER

    def __init__(self) -> None:
        self._turns: Turns[_Task] = Turns(self.open_per_caller)
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, name=type(self).__name__, daemon=True).start()

    @property
    def info(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def caller(self, job: Job) -> str:
        """Return whose job it is; empty if nobody knows, then it is a stranger to every other."""

    @abstractmethod
    def run(self, job: Job, pause: Pause) -> None:
        """Answer *job*: emit its events and return.

        Call *pause* wherever others may have their turns; it raises Cancelled once the caller has left.
        """

    def rest(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what only work needs; called on the engine's thread once nothing waits any more."""

    def submit(self, job: Job) -> None:
        task = _Task(job, self.caller(job) or f"stranger {id(job)}", self.run)
        job.on_cancel(lambda: self._drop(task))  # first: a model may have its own way once the job runs
        with self._changed:
            self._turns.add(task.caller, task)
            self._changed.notify()

    def _drop(self, task: _Task) -> None:
        """End a job that has not begun; one that has gets the next turn to end in."""
        with self._changed:
            if task.begun or not self._turns.remove(task.caller, task):
                return
        task.job.finish(Cancelled())

    def _next(self) -> _Task:
        with self._changed:
            self._changed.wait_for(lambda: self._turns)
            # Behind many others its turn might come so late that the worker is taken for stuck and killed.
            return self._turns.find(lambda task: task.job.cancelled) or self._turns.next()

    def _serve(self) -> None:
        while True:
            task = self._next()
            error: BaseException | None = None
            try:
                goes_on = task.take_turn()
            except Exception as caught:  # noqa: BLE001 - whatever a model raises ends this job only
                goes_on, error = False, caught
            if not goes_on:
                with self._changed:
                    removed = self._turns.remove(task.caller, task)
                if removed:
                    task.job.finish(error)
            del task, error  # their payload and traceback must not outlive them until the next job comes
            with self._changed:
                idle = not self._turns
            if idle:
                self._rest()

    def _rest(self) -> None:
        try:
            self.rest()
        except Exception:
            log.exception("the engine keeps what it could give back")
