"""Brings the events of calls to where the fleet counts them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import structlog

from edge.store import OutboxStore, StoreError, UsageEvent, UsageStore
from shared.clock import rfc3339

log = structlog.get_logger(__name__)

BATCH = 500
SHIP_SECONDS = 1.0
"""How long an event may wait before it is sent on."""

PRUNE_SECONDS = 60.0
CATCH_UP_SECONDS = 2.0
"""How long who asks what was used waits for what this edge has not sent on yet: after an outage that can be a
lot."""


class Shipping:
    """Moves events from the edge's own file to the fleet's database, each at least once: it counts once.

    Events older than *keep_days* are deleted there. *refund* is told of those that do not count, for the
    fleet has others of their ids.
    """

    def __init__(
        self,
        outbox: OutboxStore,
        usage: UsageStore,
        *,
        keep_days: float,
        refund: Callable[[UsageEvent], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._outbox = outbox
        self._usage = usage
        self._keep = timedelta(days=keep_days)
        self._refund = refund
        self._now = now
        self._turn = anyio.Lock()

    async def flush(self) -> None:
        """Send on every event that was there at the call.

        Raises:
            StoreError: a database failed; events that have arrived may be sent again.
        """
        async with self._turn:
            full = True
            while full and (events := await self._outbox.oldest(BATCH)):
                dropped = await self._usage.take_in(events, rfc3339(self._now(), timespec="milliseconds"))
                await self._outbox.forget(events, dropped)
                for event in dropped:
                    self._refund(event)
                full = len(events) == BATCH

    async def catch_up(self) -> None:
        """Send on what there is, if that does not take long.

        Raises:
            StoreError: a database failed.
        """
        with anyio.move_on_after(CATCH_UP_SECONDS):
            await self.flush()

    async def run(self) -> None:
        """Send events on as they come, and delete old ones, until cancelled."""
        pruned_at = -PRUNE_SECONDS
        while True:
            await anyio.sleep(SHIP_SECONDS)
            try:
                await self.flush()
                if anyio.current_time() - pruned_at > PRUNE_SECONDS:
                    pruned_at = anyio.current_time()
                    while await self._usage.prune(rfc3339(self._now() - self._keep)):
                        pass
            except StoreError as error:
                log.warning("usage cannot be sent on", error=str(error))
