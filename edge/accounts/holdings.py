"""All the leases that an edge holds."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from cachetools import TTLCache

from edge.accounts.leases import Lease
from edge.accounts.terms import Terms
from edge.store import Cut, HeldLeases, LeaseRow, LeaseStore, StoreError, Stores

CONTESTED_SECONDS = 60.0
"""How long a tenant's credits are taken only as calls need them after another edge has asked for any."""

MANY_TENANTS = 100_000
CUT_AT_ONCE = 500
"""Leases that one transaction cuts."""


class Holdings:
    """Leases by tenant, in memory and, in a fleet, in this node's file. Without a fleet its file has them
    already: it is where they are drawn.

    ``turns`` has the tenants for whom more credits are being fetched; others who need some wait for that, and
    look again. ``contested`` are tenants whose credits other edges have asked for lately.
    """

    def __init__(self, stores: Stores, terms: Terms) -> None:
        self.leases: dict[str, Lease] = {}
        self.turns: dict[str, asyncio.Future[None]] = {}
        self.contested: TTLCache[str, bool] = TTLCache(MANY_TENANTS, CONTESTED_SECONDS, terms.timer)
        self._fleet = LeaseStore(stores.fleet)
        self._held = HeldLeases(stores.local)
        self._in_fleet = stores.in_fleet
        self._terms = terms

    @contextmanager
    def turn(self, tenant_ids: Collection[str]) -> Iterator[None]:
        """Have the *turns* of tenants while this is entered. Who waits for them gets its StoreError."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.turns.update(dict.fromkeys(tenant_ids, turn))
        try:
            yield
        except StoreError as error:
            turn.set_exception(error)
            turn.exception()  # looked at, or asyncio complains where nobody waits
            raise
        finally:
            for tenant_id in tenant_ids:
                del self.turns[tenant_id]
            if not turn.done():
                turn.set_result(None)

    async def take_in(self, rows: Sequence[LeaseRow], good_until: float) -> None:
        """Hold what the fleet has granted."""
        await self.keep(rows)
        replaced = []
        for row in rows:
            lease = self.leases.get(row.tenant_id)
            if lease is not None and lease.id == row.id:
                lease.update(row, good_until)
                continue
            if lease is not None:
                replaced.append(lease)
            self.put(_taken_up(row), good_until)
        await self.drop(replaced)

    def put(self, row: LeaseRow, good_until: float) -> Lease:
        """Hold a lease in memory."""
        lease = self.leases[row.tenant_id] = Lease(
            row.id,
            row.tenant_id,
            row.granted_micro,
            row.settled_micro,
            good_until,
            used_at=self._terms.timer(),
            moves=row.moves,
        )
        return lease

    async def keep(self, rows: Sequence[LeaseRow]) -> None:
        """Store what the fleet has granted, before it is spent."""
        if self._in_fleet:
            await self._held.keep(list(map(_taken_up, rows)))

    async def put_off(self, ids: Sequence[str], expires_at: str) -> None:
        """Store when leases expire now."""
        if self._in_fleet:
            await self._held.put_off(ids, expires_at)

    async def drop(self, leases: Sequence[Lease]) -> None:
        """Let go of leases that the fleet has closed."""
        for lease in leases:
            lease.good_until = 0.0
            if self.leases.get(lease.tenant_id) is lease:
                del self.leases[lease.tenant_id]
        if leases and self._in_fleet:
            await self._held.drop([lease.id for lease in leases])

    async def cut(self, leases: Sequence[Lease]) -> None:
        """Have the fleet be told what these leases have been lowered to. Where it does not answer they stay
        so, for it may have happened; the same is to be told it again.

        Raises:
            StoreError: a database failed.
        """
        told = [(lease, lease.cut) for lease in leases if lease.cut is not None]
        for start in range(0, len(told), CUT_AT_ONCE):
            await self._cut(told[start : start + CUT_AT_ONCE])

    async def _cut(self, told: Sequence[tuple[Lease, Cut]]) -> None:
        cuts = [cut for _, cut in told]
        if self._in_fleet:
            await self._held.lower(cuts)  # first: a restart must not find what may be gone
        found = await self._fleet.cut(cuts, self._terms.stamp())
        await self.keep(list(found.values()))
        for lease, cut in told:
            if lease.id in found:
                lease.update(found[lease.id])
                lease.trimmed = lease.trimmed and not cut.close
        await self.drop([lease for lease, _ in told if lease.id not in found])


def _taken_up(row: LeaseRow) -> LeaseRow:
    """Return a lease as an edge counts it that did not know of it: what is in the ledger was settled."""
    return replace(row, settled_micro=max(row.settled_micro, row.spent_micro))
