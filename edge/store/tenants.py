"""Tenants at rest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.database import Database
from edge.store.tables import tenants
from edge.store.upsert import insert
from edge.store.versions import next_version


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A stored tenant. A limit of None is none; ``created_at`` is RFC 3339 in UTC."""

    id: str
    name: str
    billing: str
    created_at: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


TENANT_COLUMNS = tuple(tenants.c[name] for name in TenantRow.__slots__)


class TenantStore:
    """Reads and writes tenants. Every method raises StoreError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: TenantRow) -> bool:
        """Store a new tenant; False if there is one of this id."""

        async def work(connection: AsyncConnection) -> bool:
            version = await next_version(connection)
            statement = insert(connection, tenants).on_conflict_do_nothing(index_elements=["id"])
            added = statement.values(asdict(row) | {"version": version}).returning(tenants.c.id)
            return (await connection.execute(added)).one_or_none() is not None

        return await self._database.write(work)

    async def update(self, tenant_id: str, values: Mapping[str, Any]) -> TenantRow | None:
        """Set columns of a tenant and return it; None if there is no such tenant."""

        async def work(connection: AsyncConnection) -> TenantRow | None:
            version = await next_version(connection)
            statement = update(tenants).where(tenants.c.id == tenant_id).values(**values, version=version)
            row = (await connection.execute(statement.returning(*TENANT_COLUMNS))).one_or_none()
            return TenantRow(*row) if row is not None else None

        return await self._database.write(work)

    async def find(self, tenant_id: str) -> TenantRow | None:
        """Return the tenant of this id."""
        found = await self._select(select(*TENANT_COLUMNS).where(tenants.c.id == tenant_id))
        return found[0] if found else None

    async def page(self, *, after: str | None, limit: int) -> Sequence[TenantRow]:
        """Return up to *limit* tenants by their ids, those that come after *after*."""
        statement = select(*TENANT_COLUMNS).order_by(tenants.c.id).limit(limit)
        return await self._select(statement.where(tenants.c.id > after) if after is not None else statement)

    async def _select(self, statement: Select[Any]) -> list[TenantRow]:
        async def rows(connection: AsyncConnection) -> list[TenantRow]:
            return [TenantRow(*row) for row in await connection.execute(statement)]

        return await self._database.read(rows)
