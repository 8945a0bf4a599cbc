"""Runs a call to a model: what it may cost is set aside before, and what it used is settled after."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import structlog

from edge.accounts.counting import measured
from edge.accounts.key import Key
from edge.accounts.leases import Reservation
from edge.accounts.measures import Measures, cost
from edge.accounts.settlements import Settlements
from edge.accounts.tenants import Billing
from edge.accounts.wallet import Wallet
from edge.accounts.worst_case import worst_case
from edge.errors import ClientGone, StoreUnavailable
from edge.models.served import ServedModel
from edge.store import StoreError, UsageEvent
from edge.workers.messages import Request
from edge.workers.stream import EventStream
from shared.clock import rfc3339
from shared.errors import ApiError

log = structlog.get_logger(__name__)

LET_GO_SECONDS = 5.0
"""How long a worker may take to tell what it had done for a caller who has left."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of *served*, by whom: ``service`` is the part of the API that was called, and every
    ``per_prompt`` orders in a row share their prompt. ``tell_tokens`` is told how many tokens were used.
    A call with an ``event_id`` is done again where it broke off, and is paid for once, when it is done."""

    key: Key
    served: ServedModel
    orders: Sequence[Request]
    service: str
    region: str
    per_prompt: int = 1
    path: str = "local"
    adapter: str = ""
    request_id: str = ""
    tell_tokens: Callable[[int], None] | None = None
    event_id: str | None = None


class Metering:
    """Opens calls, and keeps account of them."""

    def __init__(
        self,
        wallet: Wallet,
        settlements: Settlements,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._wallet = wallet
        self._settlements = settlements
        self._now = now

    async def check(self, work: Work) -> None:
        """See that *work*, which is to be done later, can be paid for now.

        Raises:
            InsufficientCredits: the tenant has less than it may cost.
            StoreUnavailable: that cannot be told now.
        """
        (await self._wallet.reserve(work.key.tenant, _most(work))).settle(0)

    @asynccontextmanager
    async def call(self, work: Work) -> AsyncIterator[EventStream]:
        """Send the orders of *work* to their worker and yield the events, like ``Worker.request``.

        However it ends, one event of usage is made of it. Before the reader is told of the end, and before
        this context is left, that event is on the disk.

        Raises:
            InsufficientCredits: the tenant has less than it may cost.
            StoreUnavailable: that cannot be told now, or what it cost cannot be written down.
            ApiError: the worker refused the orders or failed.
        """
        worker = work.served.worker
        reservation = await self._wallet.reserve(work.key.tenant, _most(work))
        call = _Call(work, reservation, self._settlements, self._now)
        error: BaseException | None = None
        try:
            async with worker.request(*work.orders) as stream:
                call.follow(stream)
                yield stream
        except BaseException as caught:
            error = caught
            raise
        finally:
            try:
                if not call.settled:
                    with anyio.CancelScope(shield=True):
                        await call.leave(error)
            finally:
                call.let_go()


def _most(work: Work) -> int:
    """Return the most that *work* may cost, in micro-units."""
    served = work.served
    most = worst_case(work.orders, served.model, served.worker.info, per_prompt=work.per_prompt)
    return cost(served.model.price, most)


class _Call:
    def __init__(
        self, work: Work, reservation: Reservation, settlements: Settlements, now: Callable[[], datetime]
    ) -> None:
        self._work = work
        self._reservation = reservation
        self._settlements = settlements
        self._now = now
        self._started = time.perf_counter()
        self._stream: EventStream | None = None
        self._committed: asyncio.Future[StoreError | None] | None = None

    def follow(self, stream: EventStream) -> None:
        self._stream = stream
        stream.before_end = self._end

    def let_go(self) -> None:
        """Part from the stream: what refers to each other stays in memory until somebody looks for it."""
        if self._stream is not None:
            self._stream.before_end = None

    @property
    def settled(self) -> bool:
        """Whether its event is on the disk."""
        committed = self._committed
        return committed is not None and committed.done() and committed.result() is None

    async def _end(self) -> None:
        """Settle a call whose work has ended, while its reader waits."""
        assert self._stream is not None
        failure = self._stream.failure
        await self._settle(200 if failure is None else 400 if failure.invalid else 502)

    async def leave(self, error: BaseException | None) -> None:
        """Settle a call that nobody reads any more, unless it was."""
        stream, status = self._stream, self._status(error)
        if self._committed is None and stream is not None and not stream.ended:
            with anyio.move_on_after(LET_GO_SECONDS):
                await stream.drained()
        try:
            await self._settle(status)
        except StoreUnavailable:
            if error is None:
                raise

    def _status(self, error: BaseException | None) -> int:
        if isinstance(error, ApiError):
            return error.status
        if error is None and self._stream is not None and self._stream.tally.complete:
            return 200
        return 500 if isinstance(error, Exception) else ClientGone.status

    async def _settle(self, status: int) -> None:
        """Have the call's event committed, once; the status of the first time counts.

        Raises:
            StoreUnavailable: it cannot be, and somebody has to pay.
        """
        if self._committed is None:
            self._committed = self._settlements.add(self._event(status))
            self._reservation.written_by(self._committed)
        error = await asyncio.shield(self._committed)
        if error is not None and self._work.key.tenant.billing is not Billing.UNMETERED:
            raise StoreUnavailable(
                "What this call used cannot be written down right now; try again"
            ) from error

    def _event(self, status: int) -> UsageEvent:
        work, tally = self._work, self._stream.tally if self._stream is not None else None
        used = measured(work.orders, tally, per_prompt=work.per_prompt) if tally is not None else Measures()
        if work.tell_tokens is not None:
            work.tell_tokens(used.tokens)
        # Who was not served for no fault of his own does not pay, nor does who will be served anew.
        pays = status < 400 or (status == ClientGone.status and work.event_id is None)
        price = cost(work.served.model.price, used) if pays else 0
        unmetered = work.key.tenant.billing is Billing.UNMETERED
        charged = self._reservation.settle(price)
        first_at = tally.first_at if tally is not None else None
        return UsageEvent(
            id=(work.event_id if status < 400 else None) or f"use_{secrets.token_hex(12)}",
            at=rfc3339(self._now(), timespec="milliseconds"),
            tenant_id=work.key.tenant.id,
            key_id=work.key.id,
            request_id=work.request_id,
            model=work.served.id,
            adapter=work.adapter,
            region=work.region,
            service=work.service,
            path=work.path,
            prompt_tokens=used.prompt_tokens,
            cached_tokens=used.cached_tokens,
            completion_tokens=used.completion_tokens,
            audio_ms=used.audio_ms,
            characters=used.characters,
            status=status,
            cost_micro=price,
            charged_micro=0 if unmetered else charged,
            lease_id=self._reservation.lease_id,
            queue_ms=tally.queue_ms if tally is not None else 0.0,
            first_byte_ms=0.0 if first_at is None else (first_at - self._started) * 1000,
            total_ms=(time.perf_counter() - self._started) * 1000,
        )
