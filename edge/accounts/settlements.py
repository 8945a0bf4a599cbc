"""Commits what calls cost: one writer, many calls in one transaction."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import structlog

from edge.store import OutboxStore, StoreError, UsageEvent

log = structlog.get_logger(__name__)

BATCH = 512
"""Calls that one transaction settles."""

PATIENCE_SECONDS = 10.0
"""How long a call waits for a database that fails, until it ends in an error."""

RETRY_SECONDS = 0.2


class Settlements:
    """Takes the events of calls that have ended; each future is done once its event is on the disk.

    *refund* is told of those that do not count, for others of their ids were there before.
    """

    def __init__(self, store: OutboxStore, refund: Callable[[UsageEvent], None]) -> None:
        self._store = store
        self._refund = refund
        self._waiting: deque[tuple[UsageEvent, bool, asyncio.Future[StoreError | None]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False

    def add(self, event: UsageEvent, *, again: bool = False) -> "asyncio.Future[StoreError | None]":
        """Have *event* committed. The result is the error if it cannot be.

        With *again* its id may be one that was settled before: it counts once.
        """
        done: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, again, done))
        self._wake.set()
        return done

    def close(self) -> None:
        """Let :meth:`run` end once all is committed."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Commit what comes until closed."""
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                again = any(again for _, again, _ in batch)
                error = await self._commit([event for event, _, _ in batch], again)
                for _, _, done in batch:
                    if not done.done():
                        done.set_result(error)

    async def _commit(self, events: list[UsageEvent], again: bool) -> StoreError | None:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                dropped = await self._store.settle(events, again=again)
            except StoreError as error:
                log.warning("calls cannot be settled", calls=len(events), error=str(error))
                if time.monotonic() > give_up_at:
                    return error
                again = True  # a transaction that did not answer in time may have been committed
                await asyncio.sleep(RETRY_SECONDS)
            else:
                for event in dropped:
                    self._refund(event)
                return None
