"""What an edge knows of tenants who have too little."""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachetools import TTLCache

from edge.store import Elsewhere

RECALL_SECONDS = 3.0
"""How long other edges may take to give up what they hold and do not need. One that is away never does."""

AGAIN_SECONDS = 5.0
"""How long an edge that was asked is not asked again: meanwhile it gives up by itself what becomes free."""

MANY_LEASES = 100_000


class Outlook(enum.Enum):
    """Whether a call can be paid for: ask, wait for other edges, or it cannot."""

    ASK = enum.auto()
    WAIT = enum.auto()
    NONE = enum.auto()


@dataclass(frozen=True, slots=True)
class Shortage:
    """A tenant's credits when there were too few, in micro-units: what this edge could have had, and that
    together with what others hold. ``hopeful`` tells whether those who were asked for that may still answer;
    None if nobody was."""

    left: int
    total: int
    hopeful: bool | None = None

    def outlook(self, micro: int) -> Outlook:
        """Return what is to be done about a call that may cost *micro*."""
        if micro <= self.left:
            return Outlook.ASK
        if micro > self.total or self.hopeful is False:
            return Outlook.NONE
        return Outlook.ASK if self.hopeful is None else Outlook.WAIT


class Recalls:
    """Which leases this edge has recalled, and when, by *timer*."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._asked: TTLCache[str, float] = TTLCache(MANY_LEASES, AGAIN_SECONDS, timer)

    def due(self, elsewhere: Sequence[Elsewhere]) -> list[str]:
        """Return the leases to recall now: each is asked for once in a while."""
        return [one.lease_id for one in elsewhere if not one.recalled and one.lease_id not in self._asked]

    def hopeful(self, elsewhere: Sequence[Elsewhere]) -> bool:
        """Whether one of the leases that were recalled, those that are due included, may still come.

        One that has not come in time is not waited for again until its edge has answered.
        """
        now = self._timer()
        waited = []
        for one in elsewhere:
            if one.recalled or one.lease_id not in self._asked:
                asked_at = self._asked.get(one.lease_id, now)
                self._asked[one.lease_id] = asked_at
                waited.append(now - asked_at)
        return any(seconds < RECALL_SECONDS for seconds in waited)
