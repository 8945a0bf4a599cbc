"""Runs a call to a model: what it may cost is set aside before, and what it used is settled after."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

import anyio
import structlog

from edge.accounts.counting import measured
from edge.accounts.key import Key
from edge.accounts.leases import Reservation
from edge.accounts.measures import Measures, cost
from edge.accounts.settlements import Receipt, Settlements
from edge.accounts.tenants import Billing
from edge.accounts.wallet import Wallet
from edge.accounts.worst_case import worst_case
from edge.errors import ClientGone, StoreUnavailable
from edge.models.served import ServedModel
from edge.store import UsageEvent
from edge.workers.messages import Request
from edge.workers.stream import EventStream
from shared.clock import rfc3339_ms
from shared.errors import ApiError

log = structlog.get_logger(__name__)

_ID_BITS = 64
"""Of chance in the id of an event, which is a name and no secret."""

LET_GO_SECONDS = 5.0
"""How long a worker may take to tell what it had done for a caller who has left."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of *served*, by whom: ``service`` is the part of the API that was called, and every
    ``per_prompt`` orders in a row share their prompt. ``tell_tokens`` is told how many tokens were used.

    ``event_id`` is that of the call's event if it goes well; ``again``: it may have gone well before. Who
    leaves a call that ``resumes`` does not pay: it is done again after it broke off."""

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
    again: bool = False
    resumes: bool = False


class Metering:
    """Opens calls, and keeps account of them."""

    def __init__(self, wallet: Wallet, settlements: Settlements) -> None:
        self._wallet = wallet
        self._settlements = settlements

    async def check(self, work: Work) -> None:
        """See that *work*, which is to be done later, can be paid for now.

        Raises:
            InsufficientCredits: the tenant has less than it may cost.
            StoreUnavailable: that cannot be told now.
        """
        (await self._wallet.reserve(work.key.tenant, _most(work))).settle(0)

    def call(self, work: Work) -> AbstractAsyncContextManager[EventStream]:
        """Return what sends the orders of *work* to their worker and gives the events, as a worker does.

        However it ends, one event of usage is made of it. Before the reader is told of the end, and before
        the context is left, that event is on the disk.

        Entering and leaving it raise:
            InsufficientCredits: the tenant has less than it may cost.
            StoreUnavailable: that cannot be told now, or what it cost cannot be written down.
            ApiError: the worker refused the orders or failed.
        """
        return _Call(work, self._wallet, self._settlements)


def _most(work: Work) -> int:
    """Return the most that *work* may cost, in micro-units."""
    served = work.served
    most = worst_case(work.orders, served.model, served.worker.info, per_prompt=work.per_prompt)
    return cost(served.model.price, most)


class _Call:
    """One call. Not a generator, as such contexts mostly are: every request would pay for that."""

    def __init__(self, work: Work, wallet: Wallet, settlements: Settlements) -> None:
        self._work = work
        self._wallet = wallet
        self._settlements = settlements
        self._reservation = Reservation()
        self._started = 0.0
        self._stream: EventStream | None = None
        self._receipt: Receipt | None = None

    async def __aenter__(self) -> EventStream:
        work = self._work
        self._reservation = await self._wallet.reserve(work.key.tenant, _most(work))
        self._started = time.perf_counter()
        self._opened = work.served.worker.request(*work.orders)
        try:
            self._stream = stream = await self._opened.__aenter__()
        except BaseException as error:
            await self._close(error)
            raise
        stream.before_end = self._end
        return stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._opened.__aexit__(kind, error, traceback)
        except BaseException as caught:
            error = caught
            raise
        finally:
            await self._close(error)

    async def _close(self, error: BaseException | None) -> None:
        try:
            if not self._settled:
                with anyio.CancelScope(shield=True):
                    await self._leave(error)
        finally:
            if self._stream is not None:
                # What refers to each other stays in memory until somebody looks for it.
                self._stream.before_end = None

    @property
    def _settled(self) -> bool:
        """Whether its event is on the disk."""
        receipt = self._receipt
        return receipt is not None and receipt.done and receipt.error is None

    async def _end(self) -> None:
        """Settle a call whose work has ended, while its reader waits."""
        assert self._stream is not None
        failure = self._stream.failure
        await self._settle(200 if failure is None else 400 if failure.invalid else 502)

    async def _leave(self, error: BaseException | None) -> None:
        """Settle a call that nobody reads any more, unless it was."""
        stream, status = self._stream, self._status(error)
        if self._receipt is None and stream is not None and not stream.ended:
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
        if self._receipt is None:
            self._receipt = self._settlements.add(
                self._event(status), again=self._work.again, signed=self._reservation.written()
            )
        error = await self._receipt.wait()
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
        pays = status < 400 or (status == ClientGone.status and not work.resumes)
        price = cost(work.served.model.price, used) if pays else 0
        unmetered = work.key.tenant.billing is Billing.UNMETERED
        charged = self._reservation.settle(price)
        first_at = tally.first_at if tally is not None else None
        at_ms = time.time_ns() // 1_000_000
        return UsageEvent(
            id=(work.event_id if status < 400 else None) or _new_id(at_ms),
            at=rfc3339_ms(at_ms),
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


def _new_id(at_ms: int) -> str:
    """Return the id of an event: in order of time, so that rows that come together lie together."""
    return f"use_{at_ms:012x}{random.getrandbits(_ID_BITS):016x}"
