"""An engine whose callers take turns, a step at a time."""

import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from edge.engines.base import Cancelled, Job

T = TypeVar("T")

TURN_SECONDS = 0.05
"""A turn goes on until its steps took this long: one that costs nothing is no turn."""

OPEN_PER_CALLER = 4
"""Jobs of one caller that have begun and not ended: each of them holds its input and what it made of it."""


class Turns(Generic[T]):
    """Decides whose step is next. Callers take turns, and so do each caller's items among themselves.

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
    """A job and, once it has begun, the rest of its steps."""

    def __init__(self, job: Job, caller: str, begin: Callable[[Job], Iterator[None]]) -> None:
        self.job = job
        self.caller = caller
        self._begin = begin
        self._steps: Iterator[None] | None = None

    @property
    def begun(self) -> bool:
        return self._steps is not None

    def take_turn(self) -> bool:
        """Do the next steps; False if the last was among them. Raises what ends the job."""
        started = time.monotonic()
        while True:
            self.job.check()
            if self._steps is None:
                self._steps = self._begin(self.job)
            if next(self._steps, self) is self:
                return False
            if time.monotonic() - started > TURN_SECONDS:
                return True


class TurnsEngine(ABC):
    """Runs the steps of many jobs on one thread: whoever asks for much delays nobody by more than a step.

    A subclass implements :meth:`steps`. What it raises ends the job with that error. A job whose caller
    leaves ends before its next step.
    """

    def __init__(self) -> None:
        self._turns: Turns[_Task] = Turns()
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, name=type(self).__name__, daemon=True).start()

    @property
    def info(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def caller(self, job: Job) -> str:
        """Return whose job it is; empty if nobody knows, then it is a stranger to every other."""

    @abstractmethod
    def steps(self, job: Job) -> Iterator[None]:
        """Answer *job*: emit its events, and yield wherever another job may have its turn."""

    def submit(self, job: Job) -> None:
        task = _Task(job, self.caller(job) or f"stranger {id(job)}", self.steps)
        with self._changed:
            self._turns.add(task.caller, task)
            self._changed.notify()
        job.on_cancel(lambda: self._drop(task))

    def _drop(self, task: _Task) -> None:
        """End a job that has not begun; one that has finds out at its next step."""
        with self._changed:
            if task.begun or not self._turns.remove(task.caller, task):
                return
        task.job.finish(Cancelled())

    def _next(self) -> _Task:
        with self._changed:
            self._changed.wait_for(lambda: self._turns)
            return self._turns.next()

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
