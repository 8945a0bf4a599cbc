"""What an edge knows of tenants who have too little."""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

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
    """Which leases this edge has recalled or seen recalled, and since when, by *timer*."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._asked: TTLCache[str, None] = TTLCache(MANY_LEASES, AGAIN_SECONDS, timer)
        self._waited_since: LRUCache[tuple[str, str], float] = LRUCache(MANY_LEASES)

    def due(self, elsewhere: Sequence[Elsewhere]) -> list[str]:
        """Return the leases to recall now: each is asked for once in a while."""
        return [one.lease_id for one in elsewhere if self._is_due(one)]

    def hopeful(self, elsewhere: Sequence[Elsewhere]) -> bool:
        """Whether one of the leases that were recalled, those that are due included, may still come.

        One that has not come in time is not waited for again until its edge has answered.
        """
        coming = [self._may_come(one) for one in elsewhere]  # each is to be noted
        return any(coming)

    def _is_due(self, one: Elsewhere) -> bool:
        return one.recalled_at is None and one.lease_id not in self._asked

    def _may_come(self, one: Elsewhere) -> bool:
        if one.recalled_at is None:
            due = self._is_due(one)
            if due:
                self._asked[one.lease_id] = None
            return due
        recall, now = (one.lease_id, one.recalled_at), self._timer()
        if recall not in self._waited_since:
            self._waited_since[recall] = now
            self._asked[one.lease_id] = None
        return now - self._waited_since[recall] < RECALL_SECONDS
