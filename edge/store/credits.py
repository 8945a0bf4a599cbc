"""Credits at rest: balances, the ledger and leases."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.database import Database
from edge.store.tables import tenants
from edge.store.tables.credits import balances, leases, ledger
from edge.store.tables.usage import usage_outbox
from edge.store.upsert import insert as portable_insert

EXPIRED_AT_ONCE = 100
"""Leases that one transaction closes."""

FORGOTTEN_AT_ONCE = 1_000
"""Closed leases that one transaction deletes."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One change, in micro-units; ``at`` in RFC 3339."""

    id: str
    tenant_id: str
    at: str
    kind: str
    amount_micro: int
    lease_id: str | None
    note: str


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """What an edge may spend, in micro-units; times in RFC 3339."""

    id: str
    tenant_id: str
    holder: str
    granted_micro: int
    settled_micro: int
    spent_micro: int
    opened_at: str
    expires_at: str
    closed_at: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """``balance_micro`` is what no edge holds, ``leased_micro`` what edges hold and have not spent."""

    balance_micro: int
    leased_micro: int

    @property
    def credits_micro(self) -> int:
        return self.balance_micro + self.leased_micro


@dataclass(frozen=True, slots=True)
class Wish:
    """What an edge asks for: at least ``need_micro``, up to ``wish_micro`` while the tenant has plenty."""

    tenant_id: str
    holder: str
    need_micro: int
    wish_micro: int
    lease_id: str | None = None
    """The lease that is to grow."""


class CreditStore:
    """Reads and moves credits of the fleet. Every method raises StoreError when the database fails.

    Transactions lock balances first, then leases.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def grant(self, row: LedgerRow) -> bool:
        """Add *row* to the ledger and its amount to the balance; False if there is no such tenant."""

        async def work(connection: AsyncConnection) -> bool:
            known = select(tenants.c.id).where(tenants.c.id == row.tenant_id)
            if (await connection.execute(known)).one_or_none() is None:
                return False
            await connection.run_sync(lock_balances, [row.tenant_id], row.at)
            await connection.execute(insert(ledger).values(_values(row)))
            await connection.run_sync(add_to_balance, row.tenant_id, row.amount_micro, row.at)
            return True

        return await self._database.write(work)

    async def account(self, tenant_id: str) -> Account:
        """Return what a tenant has."""

        async def work(connection: AsyncConnection) -> Account:
            balance = select(balances.c.balance_micro).where(balances.c.tenant_id == tenant_id)
            left = func.coalesce(func.sum(leases.c.granted_micro - leases.c.spent_micro), 0)
            held = select(left).where(leases.c.tenant_id == tenant_id, leases.c.closed_at.is_(None))
            return Account(
                (await connection.execute(balance)).scalar_one_or_none() or 0,
                int((await connection.execute(held)).scalar_one()),
            )

        return await self._database.read(work)

    async def ledger(
        self, tenant_id: str, *, before: tuple[str, str] | None = None, limit: int
    ) -> Sequence[LedgerRow]:
        """Return up to *limit* changes, the newest first: those before the one of that time and id."""
        columns = [ledger.c[name] for name in LedgerRow.__slots__]
        statement = select(*columns).where(ledger.c.tenant_id == tenant_id)
        if before is not None:
            statement = statement.where(tuple_(ledger.c.at, ledger.c.id) < tuple_(*before))
        statement = statement.order_by(ledger.c.at.desc(), ledger.c.id.desc()).limit(limit)

        async def rows(connection: AsyncConnection) -> list[LedgerRow]:
            return [LedgerRow(*row) for row in await connection.execute(statement)]

        return await self._database.read(rows)

    async def draw(self, wish: Wish, *, now: str, expires_at: str) -> LeaseRow | int:
        """Move credits from the balance to a lease and return it; the balance if it is less than is needed.

        No more than a quarter of a balance leaves at once, unless it is needed: other edges want some too.
        """

        async def work(connection: AsyncConnection) -> LeaseRow | int:
            balance = (await connection.run_sync(lock_balances, [wish.tenant_id], now))[wish.tenant_id]
            if balance < wish.need_micro:
                return balance
            amount = max(wish.need_micro, min(wish.wish_micro, balance // 4))
            await connection.run_sync(add_to_balance, wish.tenant_id, -amount, now)
            grown = None
            if wish.lease_id is not None:
                grow = (
                    update(leases)
                    .where(leases.c.id == wish.lease_id, leases.c.closed_at.is_(None))
                    .values(granted_micro=leases.c.granted_micro + amount, expires_at=expires_at)
                    .returning(*_LEASE)
                )
                grown = (await connection.execute(grow)).one_or_none()
            if grown is not None:
                return LeaseRow(*grown)
            row = LeaseRow(
                f"lease_{secrets.token_hex(12)}", wish.tenant_id, wish.holder, amount, 0, 0, now, expires_at
            )
            await connection.execute(insert(leases).values(_values(row)))
            return row

        return await self._database.write(work)

    async def renew(self, ids: Sequence[str], expires_at: str) -> set[str]:
        """Put off when leases expire; return the ids of those that are still open."""
        statement = (
            update(leases)
            .where(leases.c.id.in_(ids), leases.c.closed_at.is_(None))
            .values(expires_at=expires_at)
            .returning(leases.c.id)
        )

        async def work(connection: AsyncConnection) -> set[str]:
            return set((await connection.execute(statement)).scalars())

        return await self._database.write(work)

    async def give_back(self, lease_id: str, *, settled_micro: int, now: str) -> bool:
        """Close a lease of which *settled_micro* was used, and return the rest to the balance.

        False, and nothing changes, as long as the ledger does not have all of that.
        """

        async def work(connection: AsyncConnection) -> bool:
            found = await _lease(connection, lease_id)
            if found is None or found.closed_at is not None:
                return True
            await connection.run_sync(lock_balances, [found.tenant_id], now)
            found = await _lease(connection, lease_id, lock=True)
            if found is None or found.closed_at is not None:
                return True
            if found.spent_micro < settled_micro:
                return False
            await _close(connection, found, now)
            return True

        return await self._database.write(work)

    async def expire(self, *, before: str, now: str) -> int:
        """Close leases that expired *before* that time; return how many. What their holders still report
        later is taken from the balance.
        """
        overdue = leases.c.closed_at.is_(None) & (leases.c.expires_at < before)

        async def work(connection: AsyncConnection) -> int:
            due = select(leases.c.id, leases.c.tenant_id).where(overdue)
            found = (await connection.execute(due.order_by(leases.c.expires_at).limit(EXPIRED_AT_ONCE))).all()
            await connection.run_sync(lock_balances, {tenant_id for _, tenant_id in found}, now)
            closed = 0
            for lease_id, _ in sorted(found):
                lease = await _lease(connection, lease_id, lock=True)
                if lease is not None and lease.closed_at is None and lease.expires_at < before:
                    await _close(connection, lease, now)
                    closed += 1
            return closed

        return await self._database.write(work)

    async def forget_closed(self, before: str) -> int:
        """Delete leases that were closed *before* that time, some at a time; return how many. The ledger
        explains them, and what is still reported of one is taken from the balance, as of any that is closed.
        """
        old = select(leases.c.id).where(leases.c.closed_at < before).limit(FORGOTTEN_AT_ONCE)
        statement = delete(leases).where(leases.c.id.in_(old))
        result = await self._database.write(lambda connection: connection.execute(statement))
        return int(result.rowcount)


class HeldLeases:
    """The leases of one edge, in its own file: what they have left survives a restart."""

    def __init__(self, local: Database) -> None:
        self._database = local

    async def of(self, holder: str) -> Sequence[LeaseRow]:
        """Return the open leases of *holder*, with all that was settled of them up to now."""
        waiting = (
            select(func.coalesce(func.sum(usage_outbox.c.charged_micro), 0))
            .where(usage_outbox.c.lease_id == leases.c.id)
            .scalar_subquery()
        )
        statement = select(*_LEASE, waiting).where(leases.c.holder == holder, leases.c.closed_at.is_(None))

        async def rows(connection: AsyncConnection) -> list[LeaseRow]:
            found = [(LeaseRow(*row), micro) for *row, micro in await connection.execute(statement)]
            return [replace(row, settled_micro=row.settled_micro + micro) for row, micro in found]

        return await self._database.read(rows)

    async def keep(self, row: LeaseRow) -> None:
        """Store a lease of the fleet as it is now, but for what was settled, which is counted here."""

        async def work(connection: AsyncConnection) -> None:
            statement = portable_insert(connection, leases).values(_values(row))
            new = {"granted_micro": row.granted_micro, "expires_at": row.expires_at}
            await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new))

        await self._database.write(work)

    async def drop(self, lease_id: str) -> None:
        """Delete a lease that is no longer held."""
        statement = delete(leases).where(leases.c.id == lease_id)
        await self._database.write(lambda connection: connection.execute(statement))


_LEASE = tuple(leases.c[name] for name in LeaseRow.__slots__)


def _values(row: LedgerRow | LeaseRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}


def lock_balances(connection: Connection, tenant_ids: Iterable[str], now: str) -> Mapping[str, int]:
    """Return the balances of tenants, in micro-units, and keep everybody else from changing them."""
    ids = sorted(tenant_ids)
    if not ids:
        return {}
    statement = portable_insert(connection, balances).on_conflict_do_nothing()
    connection.execute(statement, [{"tenant_id": one, "balance_micro": 0, "updated_at": now} for one in ids])
    locked = (
        select(balances.c.tenant_id, balances.c.balance_micro)
        .where(balances.c.tenant_id.in_(ids))
        .order_by(balances.c.tenant_id)
        .with_for_update()
    )
    return {row.tenant_id: row.balance_micro for row in connection.execute(locked)}


def add_to_balance(connection: Connection, tenant_id: str, micro: int, now: str) -> None:
    connection.execute(
        update(balances)
        .where(balances.c.tenant_id == tenant_id)
        .values(balance_micro=balances.c.balance_micro + micro, updated_at=now)
    )


def spend(connection: Connection, tenant_id: str, lease_id: str | None, micro: int, now: str) -> None:
    """Put *micro* of usage into the ledger, and take it from the lease, or from the balance where there is
    none or it is closed. The tenant's balance must be locked.
    """
    row = LedgerRow(f"led_{secrets.token_hex(12)}", tenant_id, now, "usage", -micro, lease_id, "")
    connection.execute(insert(ledger).values(_values(row)))
    if lease_id is not None:
        open_lease = update(leases).where(leases.c.id == lease_id, leases.c.closed_at.is_(None))
        taken = connection.execute(open_lease.values(spent_micro=leases.c.spent_micro + micro))
        if taken.rowcount:
            return
    add_to_balance(connection, tenant_id, -micro, now)


async def _lease(connection: AsyncConnection, lease_id: str, *, lock: bool = False) -> LeaseRow | None:
    statement = select(*_LEASE).where(leases.c.id == lease_id)
    found = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
    return LeaseRow(*found) if found is not None else None


async def _close(connection: AsyncConnection, lease: LeaseRow, now: str) -> None:
    await connection.execute(update(leases).where(leases.c.id == lease.id).values(closed_at=now))
    await connection.run_sync(add_to_balance, lease.tenant_id, lease.granted_micro - lease.spent_micro, now)
