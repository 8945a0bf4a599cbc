"""On which terms an edge holds credits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.clock import rfc3339

GRACE = timedelta(seconds=60)
"""How far the clocks of two edges may differ."""


@dataclass(frozen=True, slots=True)
class Terms:
    """``holder`` is this edge, by a name that no other process has. It takes ``lease_micro`` at once, and may
    spend that for ``lease_seconds`` without being heard. ``timer`` is a monotonic clock.
    """

    holder: str
    lease_micro: int
    lease_seconds: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    timer: Callable[[], float] = time.monotonic

    def stamp(self) -> str:
        return rfc3339(self.now())

    def ago(self, span: timedelta) -> str:
        return rfc3339(self.now() - span)

    def expiry(self) -> str:
        """Return when a lease expires that is renewed now."""
        return rfc3339(self.now() + timedelta(seconds=self.lease_seconds))
