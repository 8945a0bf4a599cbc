"""The credits that an edge holds of its tenants, so that calls need not wait for the fleet's database."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import structlog
from cachetools import TTLCache

from edge.accounts.holdings import MANY_TENANTS, Holdings
from edge.accounts.leases import Lease, Reservation
from edge.accounts.shortage import RECALL_SECONDS, Outlook, Recalls, Shortage
from edge.accounts.tenants import Billing, Tenant
from edge.accounts.terms import Terms
from edge.accounts.upkeep import Upkeep
from edge.errors import InsufficientCredits, StoreUnavailable
from edge.models.prices import MICRO
from edge.store import LeaseStore, Short, StoreError, Stores, UsageEvent, Wish

log = structlog.get_logger(__name__)

REFUSAL_SECONDS = 0.25
"""How long a tenant who had too little is told so again without a look: a grant counts after it. Calls that
wait for what other edges give up look as often."""


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
        self._terms = Terms(holder, lease_micro, lease_seconds, now, timer)
        self._holdings = Holdings(stores, self._terms)
        self._upkeep = Upkeep(stores, self._terms, self._holdings)
        self._fleet = LeaseStore(stores.fleet)
        self._in_fleet = stores.in_fleet
        self._recalls = Recalls(timer)
        self._shortages: TTLCache[str, Shortage] = TTLCache(MANY_TENANTS, REFUSAL_SECONDS, timer)

    async def open(self) -> None:
        """Take up the leases that this edge held when it ended last.

        Raises:
            StoreError: the edge's own file cannot be read.
        """
        await self._upkeep.open()

    async def run(self) -> None:
        """Keep the leases in order, and have some for calls to come, until cancelled."""
        await self._upkeep.run()

    async def close(self) -> None:
        """Give back what is left, as far as the database answers; the rest is taken up at the next start."""
        await self._upkeep.close()

    async def reserve(self, tenant: Tenant, micro: int) -> Reservation:
        """Set *micro* aside for a call of *tenant*, who may have to have it.

        Raises:
            InsufficientCredits: he has less.
            StoreUnavailable: nobody can tell now.
        """
        if tenant.billing is not Billing.PREPAID or micro == 0:
            return Reservation()
        waits = 0
        while True:
            lease, now = self._holdings.leases.get(tenant.id), self._terms.timer()
            if lease is not None and lease.covers(micro, now):
                lease.reserve(micro, now)
                if self._in_fleet:
                    self._draw_ahead(lease, micro)
                return Reservation(lease, micro)
            shortage = self._shortages.get(tenant.id)
            outlook = shortage.outlook(micro) if shortage is not None else Outlook.ASK
            if shortage is None or outlook is Outlook.ASK:
                await self._draw(tenant.id, micro)
            elif outlook is Outlook.WAIT and waits * REFUSAL_SECONDS < RECALL_SECONDS:
                waits += 1
                await anyio.sleep(REFUSAL_SECONDS)
                if self._shortages.get(tenant.id) is shortage:
                    del self._shortages[tenant.id]
            else:
                raise InsufficientCredits(
                    f"Billing access denied: this call may cost up to {units(micro)} and "
                    f"{units(shortage.left)} of credits is left; add credits, or ask for less"
                )

    def refund(self, event: UsageEvent) -> None:
        """Have free again what *event*, which does not count after all, took from its lease."""
        lease = self._holdings.leases.get(event.tenant_id)
        if lease is not None and lease.id == event.lease_id:
            lease.settled -= event.charged_micro

    def _draw_ahead(self, lease: Lease, micro: int) -> None:
        """Have the lease grow before it is used up, while nobody waits."""
        low = lease.free < max(self._terms.lease_micro // 2, 4 * micro)
        if low:
            known = (self._holdings.turns, self._shortages, self._holdings.contested)
            if not any(lease.tenant_id in tenants for tenants in known):
                self._start_draw(lease.tenant_id, micro, ahead=True)

    async def _draw(self, tenant_id: str, micro: int) -> None:
        """Wait until the tenant's lease has grown, or is known not to; the caller looks whether it is enough.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        turn = self._holdings.turns.get(tenant_id) or self._start_draw(tenant_id, micro)
        try:
            await asyncio.shield(turn)
        except StoreError as error:
            raise StoreUnavailable("Credits cannot be checked right now; try again") from error

    def _start_draw(self, tenant_id: str, micro: int, *, ahead: bool = False) -> "asyncio.Task[None]":
        async def draw() -> None:
            try:
                await self._grow(tenant_id, micro, ahead=ahead)
            except StoreError as error:
                log.warning("no credits can be drawn", tenant=tenant_id, error=str(error))
                raise
            finally:
                # Not by a callback of the task: who asks before that runs would wait for what is done.
                del self._holdings.turns[tenant_id]

        task = asyncio.create_task(draw())
        task.add_done_callback(_look_at)
        self._holdings.turns[tenant_id] = task
        return task

    async def _grow(self, tenant_id: str, micro: int, *, ahead: bool) -> None:
        lease = self._holdings.leases.get(tenant_id)
        if lease is not None and self._terms.timer() >= lease.good_until:
            # The fleet was away: what is held may be all that there is.
            await self._upkeep.renew([lease])
            if lease.covers(micro, self._terms.timer()):
                return
            lease = self._holdings.leases.get(tenant_id)
        moves, before = lease.moves if lease is not None else -1, _state(lease)
        contested = tenant_id in self._holdings.contested
        wish = Wish(
            tenant_id,
            self._terms.holder,
            need_micro=max(micro - self._usable(lease), 1),
            wish_micro=0 if contested else max(self._terms.lease_micro, 16 * micro),
        )
        started = self._terms.timer()
        answer = await self._fleet.draw(wish, now=self._terms.stamp(), expires_at=self._terms.expiry())
        if isinstance(answer, Short):
            moving = lease is not None and (before != _state(lease) or lease.cut is not None)
            self._shortages[tenant_id] = await self._shortage(
                self._usable(lease), micro, answer, ask=not ahead, moving=moving
            )
            return
        if lease is not None and answer.id == lease.id and answer.moves <= moves:
            await self._holdings.drop([lease])  # of a database that was restored: it is taken up anew
        await self._holdings.take_in([answer], started + self._terms.lease_seconds)

    def _usable(self, lease: Lease | None) -> int:
        usable = lease is not None and self._terms.timer() < lease.good_until
        return max(lease.free, 0) if lease is not None and usable else 0

    async def _shortage(self, free: int, micro: int, short: Short, *, ask: bool, moving: bool) -> Shortage:
        """Return what a draw for *micro* has found, and with *ask* have other edges give up what they do not
        need. *moving* tells that what this edge itself gives up was on its way meanwhile."""
        left = max(short.balance_micro, 0) + free
        total = left + sum(one.left_micro for one in short.elsewhere)
        if moving:
            return Shortage(left, max(total, micro), hopeful=True)
        if not ask or micro > total:
            return Shortage(left, total)
        if due := self._recalls.due(short.elsewhere):
            await self._fleet.recall(due, self._terms.stamp())
        return Shortage(left, total, self._recalls.hopeful(short.elsewhere))


def _state(lease: Lease | None) -> object:
    return lease and (lease.moves, lease.cut)


def _look_at(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()  # or asyncio complains where nobody waits


def units(micro: int) -> str:
    """Return an amount in units of the currency, as people write it."""
    whole, _, rest = f"{Decimal(micro) / MICRO:.6f}".partition(".")
    return f"{whole}.{rest}".rstrip("0").rstrip(".")
