"""The credits that an edge holds of its tenants, so that calls need not wait for the fleet's database."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
import structlog
from cachetools import TTLCache

from edge.accounts.leases import Lease, Reservation
from edge.accounts.tenants import Billing, Tenant
from edge.errors import InsufficientCredits, StoreUnavailable
from edge.models.prices import MICRO
from edge.store import CreditStore, HeldLeases, LeaseRow, StoreError, Stores, UsageEvent, Wish
from shared.clock import rfc3339

log = structlog.get_logger(__name__)

REFUSAL_SECONDS = 0.25
"""How long a tenant who had too little is told so again without a look: a grant counts after it."""

IDLE_SECONDS = 60.0
"""A lease that nobody used for this long goes back, for other edges to use."""

GRACE = timedelta(seconds=60)
"""How long after its expiry a lease is closed by whoever sees it: clocks differ."""

CLOSED_KEPT = timedelta(days=7)
"""How long a closed lease can still be looked at."""

FORGET_SECONDS = 600.0
TICK_SECONDS = 5.0
MANY_TENANTS = 100_000


class Wallet:
    """Reserves the worst case of each call of a prepaid tenant, and draws leases.

    *lease_micro* is how much a draw asks for, *lease_seconds* how long a lease holds without being renewed.
    The *holder* is this edge, by a name that no other process has.
    """

    def __init__(
        self,
        stores: Stores,
        holder: str,
        *,
        lease_micro: int,
        lease_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet = CreditStore(stores.fleet)
        self._held = HeldLeases(stores.local)
        self._in_fleet = stores.in_fleet
        self._holder = holder
        self._lease_micro = lease_micro
        self._lease_seconds = lease_seconds
        self._now = now
        self._timer = timer
        self._leases: dict[str, Lease] = {}
        self._draws: dict[str, asyncio.Task[None]] = {}
        self._refused: TTLCache[str, int] = TTLCache(MANY_TENANTS, REFUSAL_SECONDS, timer)

    async def reserve(self, tenant: Tenant, micro: int) -> Reservation:
        """Set *micro* aside for a call of *tenant*, who may have to have it.

        Raises:
            InsufficientCredits: he has less.
            StoreUnavailable: nobody can tell now.
        """
        if tenant.billing is not Billing.PREPAID or micro == 0:
            return Reservation()
        while True:
            lease = self._leases.get(tenant.id)
            if lease is not None and lease.covers(micro, self._timer()):
                lease.reserve(micro, self._timer())
                self._draw_ahead(lease, micro)
                return Reservation(lease, micro)
            if (left := self._refused.get(tenant.id)) is not None and left < micro:
                raise InsufficientCredits(
                    f"Billing access denied: this call may cost up to {units(micro)} and {units(left)} of "
                    f"credits is left; add credits, or ask for less"
                )
            await self._draw(tenant.id, micro)

    def refund(self, event: UsageEvent) -> None:
        """Have free again what *event*, which does not count after all, took from its lease."""
        lease = self._leases.get(event.tenant_id)
        if lease is not None and lease.id == event.lease_id:
            lease.settled -= event.charged_micro

    def _draw_ahead(self, lease: Lease, micro: int) -> None:
        """Have the lease grow before it is used up, while nobody waits."""
        low = lease.free < max(self._lease_micro // 2, 4 * micro)
        if (
            self._in_fleet
            and low
            and not (lease.tenant_id in self._draws or lease.tenant_id in self._refused)
        ):
            self._start_draw(lease.tenant_id, micro)

    async def _draw(self, tenant_id: str, micro: int) -> None:
        """Wait until the tenant's lease has grown, or is known not to; the caller looks whether it is enough.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        task = self._draws.get(tenant_id) or self._start_draw(tenant_id, micro)
        try:
            await asyncio.shield(task)
        except StoreError as error:
            raise StoreUnavailable("Credits cannot be checked right now; try again") from error

    def _start_draw(self, tenant_id: str, micro: int) -> "asyncio.Task[None]":
        async def draw() -> None:
            try:
                await self._grow(tenant_id, micro)
            except StoreError as error:
                log.warning("no credits can be drawn", tenant=tenant_id, error=str(error))
                raise
            finally:
                # Not by a callback of the task: who asks before that runs would wait for what is done.
                del self._draws[tenant_id]

        task = asyncio.create_task(draw())
        task.add_done_callback(_look_at)
        self._draws[tenant_id] = task
        return task

    async def _grow(self, tenant_id: str, micro: int) -> None:
        lease = self._leases.get(tenant_id)
        usable = lease is not None and self._timer() < lease.good_until
        free = lease.free if lease is not None and usable else 0
        wish = Wish(
            tenant_id,
            self._holder,
            need_micro=max(micro - free, 1),
            wish_micro=max(self._lease_micro, 16 * micro),
            lease_id=lease.id if lease is not None else None,
        )
        started = self._timer()
        row = await self._fleet.draw(wish, now=self._stamp(), expires_at=self._expiry())
        if isinstance(row, int):
            self._refused[tenant_id] = max(row, 0) + free
            return
        if self._in_fleet:
            await self._held.keep(row)
        good_until = started + self._lease_seconds
        if lease is not None and lease.id == row.id:
            lease.update(row, good_until)
        else:
            self._take_up(row, good_until)

    def _take_up(self, row: LeaseRow, good_until: float) -> None:
        self._leases[row.tenant_id] = Lease(
            row.id, row.tenant_id, row.granted_micro, row.settled_micro, good_until, used_at=self._timer()
        )

    async def open(self) -> None:
        """Take up the leases that this edge held when it ended last.

        Raises:
            StoreError: the edge's own file cannot be read.
        """
        rows = await self._held.of(self._holder)
        started = self._timer()
        try:
            open_ids = await self._fleet.renew([row.id for row in rows], self._expiry()) if rows else set()
        except StoreError as error:
            log.warning("leases cannot be renewed", error=str(error))
            for row in rows:
                left = datetime.fromisoformat(row.expires_at) - self._now()
                self._take_up(row, started + left.total_seconds())
            return
        for row in rows:
            if row.id in open_ids:
                self._take_up(row, started + self._lease_seconds)
            else:
                await self._held.drop(row.id)

    async def run(self) -> None:
        """Renew leases in use, give back idle ones, close those of edges that died, and forget those that are
        closed, until cancelled."""
        forgot_at = -FORGET_SECONDS
        while True:
            await anyio.sleep(min(TICK_SECONDS, self._lease_seconds / 4))
            try:
                await self._tend()
                await self._fleet.expire(before=rfc3339(self._now() - GRACE), now=self._stamp())
                if self._timer() - forgot_at > FORGET_SECONDS:
                    forgot_at = self._timer()
                    while await self._fleet.forget_closed(rfc3339(self._now() - CLOSED_KEPT)):
                        pass
            except StoreError as error:
                log.warning("leases cannot be tended", error=str(error))

    async def _tend(self) -> None:
        now = self._timer()
        idle = [lease for lease in self._leases.values() if now - lease.used_at > IDLE_SECONDS]
        for lease in idle:
            await self._give_back(lease)
        due = [
            lease
            for lease in self._leases.values()
            if lease.good_until - self._timer() < self._lease_seconds * 0.75
        ]
        if not due:
            return
        expires_at, started = self._expiry(), self._timer()
        still_open = await self._fleet.renew([lease.id for lease in due], expires_at)
        for lease in due:
            if lease.id in still_open:
                lease.good_until = started + self._lease_seconds
            elif self._leases.get(lease.tenant_id) is lease:
                lease.good_until = 0.0
                del self._leases[lease.tenant_id]
                await self._held.drop(lease.id)

    async def _give_back(self, lease: Lease) -> None:
        if lease.reserved or lease.tenant_id in self._draws:
            return
        del self._leases[lease.tenant_id]  # a call that comes meanwhile draws another
        gone = False
        try:
            gone = await self._fleet.give_back(lease.id, settled_micro=lease.settled, now=self._stamp())
        finally:
            if not gone:
                self._leases.setdefault(lease.tenant_id, lease)
        if gone and self._in_fleet:
            await self._held.drop(lease.id)

    async def close(self) -> None:
        """Give back what is left, as far as the database answers; the rest is taken up at the next start."""
        with suppress(StoreError):
            for lease in list(self._leases.values()):
                await self._give_back(lease)

    def _stamp(self) -> str:
        return rfc3339(self._now())

    def _expiry(self) -> str:
        return rfc3339(self._now() + timedelta(seconds=self._lease_seconds))


def _look_at(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()  # or asyncio complains where nobody waits


def units(micro: int) -> str:
    """Return an amount in units of the currency, as people write it."""
    whole, _, rest = f"{Decimal(micro) / MICRO:.6f}".partition(".")
    return f"{whole}.{rest}".rstrip("0").rstrip(".")
