"""Leases that tenants have at an edge before any call of theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import and_, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store import portions
from edge.store.credits import add_to_balances, lock_balances
from edge.store.database import Database
from edge.store.leases import LeaseRow, grown, locked, opened, values, write_grown
from edge.store.tables import tenants
from edge.store.tables.credits import balances, leases


class StandingStore:
    """Finds prepaid tenants of whose credits an edge should hold some, and moves them. Every method raises
    StoreError when the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wanting(
        self, holder: str, lease_micro: int, *, since: str | None = None, limit: int
    ) -> Sequence[str]:
        """Return tenants whose lease at *holder* is too small by :mod:`edge.store.portions`: of the *limit*
        with credits in their balance that were granted some last, and with *since* not before that time.
        """
        rich = select(balances.c.tenant_id, balances.c.balance_micro, balances.c.granted_at).where(
            balances.c.balance_micro >= portions.STANDING_PART
        )
        if since is not None:
            rich = rich.where(balances.c.granted_at >= since)
        latest = rich.order_by(balances.c.granted_at.desc()).limit(limit).subquery()
        left = func.coalesce(leases.c.granted_micro - leases.c.spent_micro, 0)
        own = and_(
            leases.c.tenant_id == latest.c.tenant_id,
            leases.c.holder == holder,
            leases.c.closed_at.is_(None),
        )
        statement = (
            select(latest.c.tenant_id)
            .join(tenants, tenants.c.id == latest.c.tenant_id)
            .outerjoin(leases, own)
            .where(
                tenants.c.billing == "prepaid",
                left * 2 < lease_micro,
                (left * 2 + 1) * portions.STANDING_PART <= latest.c.balance_micro + left,
            )
            .order_by(latest.c.granted_at.desc())
        )

        async def ids(connection: AsyncConnection) -> Sequence[str]:
            # Of an older version an edge may have two leases of one tenant.
            return list(dict.fromkeys((await connection.execute(statement)).scalars()))

        return await self._database.read(ids)

    async def tenants_of(self, holder: str) -> Sequence[str]:
        """Return the tenants who have an open lease at *holder*."""
        statement = select(leases.c.tenant_id).where(leases.c.holder == holder, leases.c.closed_at.is_(None))

        async def ids(connection: AsyncConnection) -> Sequence[str]:
            return (await connection.execute(statement)).scalars().all()

        return await self._database.read(ids)

    async def balances(self, tenant_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the balances of those of *tenant_ids* who are prepaid, in micro-units."""
        statement = (
            select(balances.c.tenant_id, balances.c.balance_micro)
            .join(tenants, tenants.c.id == balances.c.tenant_id)
            .where(balances.c.tenant_id.in_(tenant_ids), tenants.c.billing == "prepaid")
        )

        async def found(connection: AsyncConnection) -> Mapping[str, int]:
            return {row.tenant_id: row.balance_micro for row in await connection.execute(statement)}

        return await self._database.read(found)

    async def stand(
        self, holder: str, tenant_ids: Sequence[str], lease_micro: int, *, now: str, expires_at: str
    ) -> Sequence[LeaseRow]:
        """Open or grow the leases of tenants at *holder* that are too small; return all that they have there,
        each renewed.
        """

        async def work(connection: AsyncConnection) -> Sequence[LeaseRow]:
            found = await connection.run_sync(lock_balances, tenant_ids, now)
            which = (leases.c.holder == holder) & leases.c.tenant_id.in_(tenant_ids)
            held = {row.tenant_id: row for row in reversed(await connection.run_sync(locked, which))}
            new: list[LeaseRow] = []
            taken: dict[str, int] = {}
            for tenant_id, balance in found.items():
                row = held.get(tenant_id)
                left = row.granted_micro - row.spent_micro if row is not None else 0
                amount = portions.growth(balance, left, lease_micro)
                taken[tenant_id] = -amount
                if row is not None:
                    held[tenant_id] = replace(grown(row, amount) if amount else row, expires_at=expires_at)
                elif amount:
                    new.append(opened(tenant_id, holder, amount, now, expires_at))
            await connection.run_sync(add_to_balances, taken, now)
            await connection.run_sync(write_grown, held.values())
            if new:
                await connection.execute(insert(leases), [values(row) for row in new])
            return [*held.values(), *new]

        return await self._database.write(work)
