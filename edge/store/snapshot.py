"""The copy of a fleet's tenants and keys in an edge's own file."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.stores import Stores
from edge.store.tables import database_ids, keys, snapshots, tenants, versions
from edge.store.upsert import upsert
from edge.store.versions import ACCOUNTS

PAGE = 1000
"""Rows that are copied in one transaction."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an edge's file holds of the fleet's database ``source``: all up to ``version``, as it was at
    ``confirmed_at`` (RFC 3339 in UTC), None if no copy has been whole yet."""

    source: str
    version: int
    confirmed_at: str | None


class SnapshotStore:
    """Copies what has changed. Every method raises StoreError when a database fails."""

    def __init__(self, stores: Stores) -> None:
        self._local = stores.local
        self._fleet = stores.fleet

    async def prepare(self) -> None:
        """Bring the fleet's database to the newest schema.

        Raises:
            NewerDatabase: it has a newer one than this code knows.
        """
        await self._fleet.migrate()

    async def held(self) -> Snapshot | None:
        """Return what the file holds; None if it has never held anything."""
        return await self._local.read(_held)

    async def current(self) -> tuple[str, int]:
        """Return the fleet's database id and the version of its tenants and keys."""

        async def work(connection: AsyncConnection) -> tuple[str, int]:
            source = (await connection.execute(select(database_ids.c.id))).scalar_one()
            counter = select(versions.c.value).where(versions.c.name == ACCOUNTS)
            return source, (await connection.execute(counter)).scalar_one()

        return await self._fleet.read(work)

    async def hold(self, snapshot: Snapshot) -> None:
        """Note what the file holds now."""
        await self._local.write(lambda connection: _hold(connection, snapshot))

    async def begin(self, source: str, version: int) -> Snapshot:
        """Return what the file holds, for a copy of *source* as of *version*.

        Where it holds another database, or one that had got further, it is emptied first.
        """

        async def work(connection: AsyncConnection) -> Snapshot:
            held = await _held(connection)
            if held is not None and held.source == source and held.version <= version:
                return held
            for table in (keys, tenants):
                await connection.execute(delete(table))
            empty = Snapshot(source, 0, None)
            await _hold(connection, empty)
            return empty

        return await self._local.write(work)

    async def copy(self, after: int, changed: Callable[[Iterable[str] | None], None]) -> None:
        """Copy what has a version above *after*, and tell *changed* the digests of those keys; None where a
        tenant has changed, which can be any key's.

        Tenants come first, for keys refer to them. What changes meanwhile may be copied too.
        """
        async for _ in self._pages(tenants, after):
            changed(None)
        async for rows in self._pages(keys, after):
            changed(row["sha256"] for row in rows)

    async def _pages(self, table: Table, after: int) -> AsyncIterator[list[dict[str, Any]]]:
        while True:
            rows = await self._page(table, after)
            if rows:
                await self._put(table, rows)
                yield rows
            if len(rows) < PAGE:
                return
            after = rows[-1]["version"]

    async def _page(self, table: Table, after: int) -> list[dict[str, Any]]:
        statement = select(table).where(table.c.version > after).order_by(table.c.version).limit(PAGE)

        async def work(connection: AsyncConnection) -> list[dict[str, Any]]:
            return [dict(row) for row in (await connection.execute(statement)).mappings()]

        return await self._fleet.read(work)

    async def _put(self, table: Table, rows: list[dict[str, Any]]) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(upsert(connection, table), rows)

        await self._local.write(work)


async def _held(connection: AsyncConnection) -> Snapshot | None:
    columns = (snapshots.c.source, snapshots.c.version, snapshots.c.confirmed_at)
    row = (await connection.execute(select(*columns).where(snapshots.c.name == ACCOUNTS))).one_or_none()
    return Snapshot(*row) if row is not None else None


async def _hold(connection: AsyncConnection, snapshot: Snapshot) -> None:
    values = {"name": ACCOUNTS} | asdict(snapshot)
    await connection.execute(upsert(connection, snapshots).values(values))
