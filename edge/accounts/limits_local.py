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
            uses = self._add(subjects, tokens)
        return Verdict(now, self._window, self._window + WINDOW_SECONDS, uses, against)

    def look(self, subjects: Sequence[Subject]) -> Verdict:
        """Tell what is used, and count nothing."""
        now = self._turn()
        return Verdict(now, self._window, self._window + WINDOW_SECONDS, self._uses(subjects))

    def record(self, subjects: Sequence[Subject], *, tokens: int = 0) -> None:
        """Count a request that something else has admitted."""
        self._turn()
        self._add(subjects, tokens)

    def _add(self, subjects: Sequence[Subject], tokens: int) -> tuple[Use, ...]:
        uses = []
        for subject in subjects:
            count = self._count(subject)
            count.requests += 1
            count.tokens += reserved(subject, tokens)
            running = self._running.get(subject.name, 0)
            if subject.limits.concurrent_requests is not None:
                running += 1
                self._running[subject.name] = running
            uses.append(Use(count.requests, count.tokens, running))
        return tuple(uses)

    def leave(
        self, subjects: Sequence[Subject], window: int, *, reserved_tokens: int, used_tokens: int
    ) -> None:
        """Take note that a request counted in *window* has ended, having used so many tokens."""
        self._turn()
        for subject in subjects:
            # One that was counted while there was no such limit takes no slot of those counted since.
            if subject.limits.concurrent_requests is not None:
                running = self._running.get(subject.name, 0)
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
        return tuple([self._use(subject) for subject in subjects])

    def _use(self, subject: Subject) -> Use:
        count = self._counts.get(self._name(subject))
        running = self._running.get(subject.name, 0)
        return Use(running=running) if count is None else Use(count.requests, count.tokens, running)

    def _count(self, subject: Subject) -> _Count:
        name = self._name(subject)
        count = self._counts.get(name)
        if count is None:
            count = self._counts[name] = _Count()
            self._addresses += subject.kind == "address"
        return count

    def _name(self, subject: Subject) -> str:
        name = subject.name
        if self._addresses >= MOST_ADDRESSES and subject.kind == "address" and name not in self._counts:
            return OTHER_ADDRESSES
        return name
