"""Leaving alone for a while what keeps failing."""

import time
from collections.abc import Callable

FAILURES = 5
OPEN_SECONDS = 60.0


class Breaker:
    """Opens after so many failures in a row; then, after so many seconds, lets one try through at a time."""

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._timer = timer
        self._failures = 0
        self._closed_from = 0.0

    @property
    def closed(self) -> bool:
        """Whether the last that is known of it is good enough to use it without a thought."""
        return self._failures < self._limit

    def may_try(self) -> bool:
        """Whether to use it now; who is told so must tell how it went."""
        if self.closed:
            return True
        now = self._timer()
        if now < self._closed_from:
            return False
        self._closed_from = now + self._open_seconds
        return True

    def succeed(self) -> None:
        self._failures = 0

    def fail(self) -> None:
        self._failures += 1
        if self._failures >= self._limit:
            self._closed_from = self._timer() + self._open_seconds
