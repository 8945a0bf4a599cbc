"""Limits counted in this process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.accounts.limits import WINDOW_SECONDS, Subject, Use, Verdict, exceeded, reserved

MOST_ADDRESSES = 100_000
"""Addresses counted one by one in a minute; all others share one count."""

OTHER_ADDRESSES = "address:others"


@dataclass(slots=True)
class _Count:
    requests: int = 0
    tokens: int = 0


class LocalLimits:
    """Counts what each subject uses. Counts of a minute that has passed are dropped with the next request."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._window = 0
        self._counts: dict[str, _Count] = {}
        self._addresses = 0
        self._running: dict[str, int] = {}

    def admit(self, subjects: Sequence[Subject], *, tokens: int = 0) -> Verdict:
        """Count one request of each of *subjects*, and *tokens*, if none of their limits is against it."""
        now = self._turn()
        uses = self._uses(subjects)
        against = exceeded(subjects, uses, tokens)
        if against is None:
            self.record(subjects, tokens=tokens)
            uses = self._uses(subjects)
        return Verdict(now, self._window, self._window + WINDOW_SECONDS, uses, against)

    def look(self, subjects: Sequence[Subject]) -> Verdict:
        """Tell what is used, and count nothing."""
        now = self._turn()
        return Verdict(now, self._window, self._window + WINDOW_SECONDS, self._uses(subjects))

    def record(self, subjects: Sequence[Subject], *, tokens: int = 0) -> None:
        """Count a request that something else has admitted."""
        self._turn()
        for subject in subjects:
            count = self._count(subject)
            count.requests += 1
            count.tokens += reserved(subject, tokens)
            if subject.limits.concurrent_requests is not None:
                self._running[subject.name] = self._running.get(subject.name, 0) + 1

    def leave(
        self, subjects: Sequence[Subject], window: int, *, reserved_tokens: int, used_tokens: int
    ) -> None:
        """Take note that a request counted in *window* has ended, having used so many tokens."""
        self._turn()
        for subject in subjects:
            # One that was counted while there was no such limit takes no slot of those counted since.
            counts = subject.limits.concurrent_requests is not None
            running = self._running.get(subject.name, 0) if counts else 0
            if running > 1:
                self._running[subject.name] = running - 1
            elif running:
                del self._running[subject.name]
            rest = used_tokens - reserved(subject, reserved_tokens)
            if rest > 0 or (rest and window == self._window):
                count = self._count(subject)
                count.tokens = max(0, count.tokens + rest)

    def _turn(self) -> float:
        now = self._now()
        window = int(now) // WINDOW_SECONDS * WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._counts.clear()
            self._addresses = 0
        return now

    def _uses(self, subjects: Sequence[Subject]) -> tuple[Use, ...]:
        return tuple(map(self._use, subjects))

    def _use(self, subject: Subject) -> Use:
        count = self._counts.get(self._name(subject)) or _Count()
        return Use(count.requests, count.tokens, self._running.get(subject.name, 0))

    def _count(self, subject: Subject) -> _Count:
        name = self._name(subject)
        if name not in self._counts:
            self._counts[name] = _Count()
            self._addresses += subject.kind == "address"
        return self._counts[name]

    def _name(self, subject: Subject) -> str:
        name = subject.name
        if subject.kind == "address" and self._addresses >= MOST_ADDRESSES and name not in self._counts:
            return OTHER_ADDRESSES
        return name
