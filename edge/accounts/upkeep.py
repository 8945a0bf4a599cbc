"""Keeps what an edge holds of tenants' credits in order."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import anyio
import structlog

from edge.accounts.holdings import CUT_AT_ONCE, Holdings
from edge.accounts.leases import Lease
from edge.accounts.repeat import repeat
from edge.accounts.standing import MOST_STANDING, Standing
from edge.accounts.terms import GRACE, Terms
from edge.store import HeldLeases, LeaseRow, LeaseStore, StandingStore, StoreError, Stores, portions

T = TypeVar("T")

log = structlog.get_logger(__name__)

IDLE_SECONDS = 60.0
"""A lease from which nobody reserved for this long gives back what it should not hold while unused."""

ROUND_SECONDS = 1.0
"""How often it is seen to what others have asked for, and that tenants have leases."""

ANSWERS = 3
"""How often in a row a recalled lease is cut: a call that draws at the same time may come first."""

TICK_SECONDS = 5.0
CLOSED_KEPT = timedelta(days=7)
"""How long a closed lease can still be looked at."""

FORGET_SECONDS = 600.0


class Upkeep:
    """Takes leases up, renews them, cuts them where they are not needed, and gives them back at the end."""

    def __init__(self, stores: Stores, terms: Terms, holdings: Holdings) -> None:
        self._fleet = LeaseStore(stores.fleet)
        self._balances = StandingStore(stores.fleet)
        self._held = HeldLeases(stores.local)
        self._in_fleet = stores.in_fleet
        self._terms = terms
        self._holdings = holdings
        self._forgot_at = -math.inf

    async def open(self) -> None:
        """Take up the leases that this edge held when it ended last.

        Raises:
            StoreError: the edge's own file cannot be read.
        """
        rows = sorted(await self._held.of(self._terms.holder), key=lambda row: row.granted_micro)
        kept = {row.id: row for row in rows}
        started = self._terms.timer()
        try:
            found = await self._renewed(list(kept))
        except StoreError as error:
            log.warning("leases cannot be renewed", error=str(error))
            for row in kept.values():
                left = datetime.fromisoformat(row.expires_at) - self._terms.now()
                self._holdings.put(row, started + left.total_seconds())
            return
        await self._held.drop([row.id for row in rows if row.id not in found])
        for row in kept.values():
            if row.id in found:
                renewed = found[row.id]
                # The ledger knows more where an edge of an older version went on with this file meanwhile.
                settled = max(row.settled_micro, renewed.spent_micro)
                lease = replace(renewed, settled_micro=settled)
                self._holdings.put(lease, started + self._terms.lease_seconds)

    async def run(self) -> None:
        """Keep the leases in order until cancelled."""
        async with anyio.create_task_group() as tasks:
            # Apart: whoever has recalled a lease waits for the answer.
            tasks.start_soon(repeat, self.answer, ROUND_SECONDS, "giving up credits that others need")
            tick = min(TICK_SECONDS, self._terms.lease_seconds / 4)
            tasks.start_soon(repeat, self.tend, tick, "tending leases of credits")
            if self._in_fleet:
                standing = Standing(self._balances, self._terms, self._holdings)
                tasks.start_soon(repeat, standing.round, ROUND_SECONDS, "holding credits for calls to come")

    async def answer(self) -> None:
        """Give up what is not in use of the leases that others have asked for, and what has become free of
        theirs since; say again what the fleet has not answered.

        Raises:
            StoreError: a database failed.
        """
        for _ in range(ANSWERS):
            rows = await self._fleet.recalled(self._terms.holder)
            if not rows:
                break
            for row in rows:
                self._holdings.contested[row.tenant_id] = True
                lease = self._known(row)
                if lease is not None:
                    lease.lower(lease.in_use)
            await self._cut_lowered()
        for tenant_id in list(self._holdings.contested):
            lease = self._holdings.leases.get(tenant_id)
            if lease is not None and lease.free > 0:
                lease.lower(lease.in_use)
        await self._cut_lowered()

    async def _cut_lowered(self) -> None:
        await self._holdings.cut([lease for lease in self._holdings.leases.values() if lease.cut is not None])

    def _known(self, row: LeaseRow) -> Lease | None:
        """Return a lease of this edge; one whose grant was never heard of here is closed."""
        lease = self._holdings.leases.get(row.tenant_id)
        if lease is None and row.tenant_id not in self._holdings.turns:
            lease = self._holdings.put(row, 0.0)
            lease.settled = row.spent_micro
            lease.lower(row.spent_micro, close=True)
        return lease if lease is not None and lease.id == row.id else None

    async def tend(self) -> None:
        """Renew leases, cut idle ones, close those of edges that died, and forget those that are closed.

        Raises:
            StoreError: a database failed.
        """
        await self._renew()
        await self._trim()
        while await self._fleet.expire(before=self._terms.ago(GRACE), now=self._terms.stamp()):
            pass
        if self._terms.timer() - self._forgot_at > FORGET_SECONDS:
            self._forgot_at = self._terms.timer()
            while await self._fleet.forget_closed(self._terms.ago(CLOSED_KEPT)):
                pass

    async def _renew(self) -> None:
        soon = self._terms.timer() + self._terms.lease_seconds * 0.75
        due = [one for one in self._holdings.leases.values() if one.good_until < soon]
        found = await self.renew(due)
        for lease in due:
            if lease.id in found and found[lease.id].spent_micro < lease.settled and self._idle(lease):
                await self._correct(lease)

    async def renew(self, due: Sequence[Lease]) -> Mapping[str, LeaseRow]:
        """Put off when leases expire, and let go of those that the fleet has closed; return the others by
        their ids as the fleet has them.

        Raises:
            StoreError: a database failed.
        """
        moves = {lease.id: lease.moves for lease in due}
        started = self._terms.timer()
        found = await self._renewed(list(moves))
        # One that has fewer moves than before is of a database that was restored: it is to be taken up anew.
        good = {key: row for key, row in found.items() if row.moves >= moves[key]}
        for lease in due:
            if lease.id in good:
                lease.update(good[lease.id], started + self._terms.lease_seconds)
        await self._holdings.drop([lease for lease in due if lease.id not in good])
        return good

    async def _renewed(self, ids: Sequence[str]) -> dict[str, LeaseRow]:
        found: dict[str, LeaseRow] = {}
        for part in _parts(ids):
            expires_at = self._terms.expiry()
            rows = await self._fleet.renew(part, expires_at)
            await self._holdings.keep(list(rows.values()))
            await self._holdings.put_off(list(rows), expires_at)
            found.update(rows)
        return found

    def _idle(self, lease: Lease) -> bool:
        return self._terms.timer() - lease.used_at > IDLE_SECONDS

    async def _correct(self, lease: Lease) -> None:
        """Free what a lease counts as settled and the fleet never hears of: a call that could not be written
        down, or one that was counted under the same name before.
        """
        settled = lease.settled
        stored = await self._held.settled(lease.id)
        spent = await self._fleet.spent(lease.id)
        if stored is None or spent is None or stored < spent:
            return
        if lease.reserved or lease.unwritten or lease.settled != settled:
            return
        if await self._held.correct(lease.id, settled_micro=stored, known_micro=spent):
            lease.settled -= settled - spent  # and not set: calls go on

    async def _trim(self) -> None:
        """Cut leases that were not used for long to what stands for calls to come; without a fleet, and where
        there are too many, they are closed."""
        idle = [one for one in self._holdings.leases.values() if one.cut is None and self._idle(one)]
        surplus = len(self._holdings.leases) - MOST_STANDING if self._in_fleet else len(idle)
        for lease in sorted(idle, key=lambda one: one.used_at):
            if surplus > 0 and not lease.reserved:
                lease.lower(lease.settled, close=True)
                surplus -= 1
        if self._in_fleet:
            for part in _parts([one for one in idle if not one.trimmed]):
                found = await self._balances.balances([lease.tenant_id for lease in part])
                for lease in part:
                    if self._idle(lease):
                        trim(lease, found.get(lease.tenant_id), self._terms.lease_micro)
        await self._holdings.cut([lease for lease in idle if lease.cut is not None])

    async def close(self) -> None:
        """Give back what is left, as far as the database answers; the rest is taken up at the next start."""
        with suppress(StoreError):
            leases = list(self._holdings.leases.values())
            await self._holdings.cut(leases)
            for lease in leases:
                if not lease.reserved:
                    lease.lower(lease.settled, close=True)
            await self._holdings.cut(leases)


def trim(lease: Lease, balance: int | None, most: int) -> None:
    """Lower an idle lease to what it should hold, *most* if there is plenty. *balance* is that of its tenant;
    None if he is not prepaid any more, and should have none.
    """
    free = max(lease.free, 0)
    if balance is None or not portions.standing(balance, free, most):
        lease.lower(lease.in_use, close=not lease.reserved)
    elif over := portions.excess(balance, free, most):
        lease.lower(lease.granted - over)
    lease.trimmed = True


def _parts(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + CUT_AT_ONCE] for start in range(0, len(items), CUT_AT_ONCE))
