"""How old a copy of the fleet's keys may be before it is not believed any more."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from edge.store import StoreError


class Freshness:
    """Tells whether this node's file can be believed about a key.

    Known keys are served for *stale_seconds* after the fleet's database was last heard. That there is no such
    key is believed for *doubt_seconds* only: it may have been made since.
    """

    def __init__(
        self,
        *,
        stale_seconds: float,
        doubt_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stale = timedelta(seconds=stale_seconds)
        self._doubt = timedelta(seconds=doubt_seconds)
        self._now = now
        self.confirmed_at: datetime | None = None
        """When the copy was last known to be whole and up to date."""

    def check(self, found: object | None) -> None:
        """See that the file may say *found*, a key or a tenant, or that there is none.

        Raises:
            StoreError: the copy is too old, or has never been whole.
        """
        if self.confirmed_at is None:
            raise StoreError("the fleet's keys have not been copied here yet")
        age = self._now() - self.confirmed_at
        if age > self._stale or (found is None and age > self._doubt):
            raise StoreError(f"the fleet's keys were last heard of {age.total_seconds():.0f} s ago")
