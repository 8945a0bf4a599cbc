"""Commits what calls cost: one writer, many calls in one transaction."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

import structlog

from edge.store import MOST_TOGETHER, OutboxStore, StoreError, UsageEvent

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 10.0
"""How long a call waits for a database that fails, until it ends in an error."""

RETRY_SECONDS = 0.2

GATHER_SECONDS = 0.001
"""How long a transaction waits for more calls to end while they end in crowds, like PostgreSQL's
``commit_delay``. A call that ends alone is committed at once."""


class Receipt:
    """Tells whoever settles a call when its event is on the disk, or why it is not. One waits at a time, and
    may give up waiting and begin again."""

    __slots__ = ("_signed", "_waiter", "done", "error")

    def __init__(self, signed: Callable[[], None] | None = None) -> None:
        self.done = False
        self.error: StoreError | None = None
        self._signed = signed
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> StoreError | None:
        """Return the error if the event could not be committed, once that is known."""
        while not self.done:
            # Not a task's or a future's result that is shielded: every call would pay for that.
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self.error

    def sign(self, error: StoreError | None) -> None:
        """Say how it went."""
        self.done, self.error = True, error
        if self._signed is not None:
            self._signed()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Settlements:
    """Takes the events of calls that have ended, and signs the receipt of each once it is on the disk.

    *refund* is told of those that do not count, for others of their ids were there before.
    """

    def __init__(self, store: OutboxStore, refund: Callable[[UsageEvent], None]) -> None:
        self._store = store
        self._refund = refund
        self._waiting: deque[tuple[UsageEvent, bool, Receipt]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._ended: StoreError | None = None

    def add(
        self, event: UsageEvent, *, again: bool = False, signed: Callable[[], None] | None = None
    ) -> Receipt:
        """Have *event* committed, and *signed* called when that is done or given up.

        With *again* its id may be one that was settled before: it counts once.
        """
        receipt = Receipt(signed)
        if self._ended is not None:
            receipt.sign(self._ended)
            return receipt
        self._waiting.append((event, again, receipt))
        self._wake.set()
        return receipt

    def close(self) -> None:
        """Let :meth:`run` end once all is committed."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Commit what comes until closed. Calls that are left when this ends in another way, and those that
        come later, get a StoreError: nobody may wait for ever."""
        try:
            await self._run()
        finally:
            self._ended = StoreError("calls are not settled any more")
            while self._waiting:
                self._waiting.popleft()[2].sign(self._ended)

    async def _run(self) -> None:
        crowded = False
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                if crowded:
                    await asyncio.sleep(GATHER_SECONDS)
                batch = list(islice(self._waiting, MOST_TOGETHER))
                crowded = len(batch) > 1
                again = any(again for _, again, _ in batch)
                error = await self._commit([event for event, _, _ in batch], again)
                for _ in batch:
                    self._waiting.popleft()[2].sign(error)

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
