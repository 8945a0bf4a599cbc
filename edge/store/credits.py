"""Credits at rest: balances and the ledger that explains them."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.database import Database
from edge.store.tables import tenants
from edge.store.tables.credits import balances, leases, ledger
from edge.store.upsert import insert as portable_insert


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
class Account:
    """``balance_micro`` is what no edge holds, ``leased_micro`` what edges hold and have not spent."""

    balance_micro: int
    leased_micro: int

    @property
    def credits_micro(self) -> int:
        return self.balance_micro + self.leased_micro


class CreditStore:
    """Grants credits and tells of them. Every method raises StoreError when the database fails.

    Transactions lock balances first, then leases in the order of their ids.
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
            granted = update(balances).where(balances.c.tenant_id == row.tenant_id)
            await connection.execute(granted.values(granted_at=row.at))
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


def _values(row: LedgerRow) -> dict[str, object]:
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


_ADD = (
    update(balances)
    .where(balances.c.tenant_id == bindparam("tenant"))
    .values(balance_micro=balances.c.balance_micro + bindparam("micro"), updated_at=bindparam("now"))
)


def add_to_balances(connection: Connection, micro: Mapping[str, int], now: str) -> None:
    """Add to each tenant's balance, which must be locked, what *micro* has for him."""
    rows = [{"tenant": key, "micro": amount, "now": now} for key, amount in micro.items() if amount]
    if rows:
        connection.execute(_ADD, rows)


def add_to_balance(connection: Connection, tenant_id: str, micro: int, now: str) -> None:
    add_to_balances(connection, {tenant_id: micro}, now)


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
