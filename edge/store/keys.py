"""Keys at rest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.database import Database
from edge.store.tables import keys, tenants
from edge.store.tenants import TENANT_COLUMNS, TenantRow
from edge.store.versions import next_version


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A stored key. ``scopes``, ``models`` and ``regions`` are joined by spaces, None being all; times are
    RFC 3339 in UTC.
    """

    id: str
    tenant_id: str
    name: str
    sha256: str
    scopes: str
    created_at: str
    models: str | None = None
    regions: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    expires_at: str | None = None
    revoked_at: str | None = None
    rotated_from: str | None = None


KEY_COLUMNS = tuple(keys.c[name] for name in KeyRow.__slots__)

OwnedKey = tuple[KeyRow, TenantRow]
"""A key and the tenant that it belongs to."""


class KeyStore:
    """Reads and writes keys. Every method raises StoreError when the database fails.

    *tenant_id* keeps a call to the keys of one tenant; None is all of them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: KeyRow) -> None:
        """Store a new key. Its tenant must exist."""

        async def work(connection: AsyncConnection) -> None:
            await _add(connection, row)

        await self._database.write(work)

    async def find(self, sha256: str) -> OwnedKey | None:
        """Return the key with this digest, revoked and expired ones too."""
        return await self._one(keys.c.sha256 == sha256)

    async def get(self, key_id: str, *, tenant_id: str | None = None) -> OwnedKey | None:
        """Return the key with this id, revoked and expired ones too."""
        return await self._one(_named(key_id, tenant_id))

    async def page(
        self, *, tenant_id: str | None = None, after: tuple[str, str] | None = None, limit: int
    ) -> Sequence[OwnedKey]:
        """Return up to *limit* keys, the oldest first: those after the one of that creation time and id."""
        statement = _OWNED.order_by(keys.c.created_at, keys.c.id).limit(limit)
        if tenant_id is not None:
            statement = statement.where(keys.c.tenant_id == tenant_id)
        if after is not None:
            statement = statement.where(tuple_(keys.c.created_at, keys.c.id) > tuple_(*after))
        return await self._select(statement)

    async def revoke(self, key_id: str, at: str, *, tenant_id: str | None = None) -> bool:
        """Mark a key revoked; False if there is no such key, or it is revoked already."""
        condition = _named(key_id, tenant_id) & keys.c.revoked_at.is_(None)

        async def work(connection: AsyncConnection) -> bool:
            version = await next_version(connection)
            statement = update(keys).where(condition).values(revoked_at=at, version=version)
            return bool((await connection.execute(statement)).rowcount)

        return await self._database.write(work)

    async def replace(self, old_id: str, new: KeyRow, *, until: str, at: str) -> bool:
        """Store *new* and have the key *old_id* end at *until*, or earlier if it would have anyway.

        False, and nothing is changed, if the old key has been revoked or has expired *at* that moment.
        """

        async def work(connection: AsyncConnection) -> bool:
            version = await next_version(connection)
            unexpired = keys.c.expires_at.is_(None) | (keys.c.expires_at > at)
            active = (keys.c.id == old_id) & keys.c.revoked_at.is_(None) & unexpired
            old = (await connection.execute(select(keys.c.expires_at).where(active))).one_or_none()
            if old is None:
                return False
            ends = until if old.expires_at is None else min(until, old.expires_at)
            statement = update(keys).where(keys.c.id == old_id).values(expires_at=ends, version=version)
            await connection.execute(statement)
            await _add(connection, new)
            return True

        return await self._database.write(work)

    async def _one(self, condition: ColumnElement[bool]) -> OwnedKey | None:
        found = await self._select(_OWNED.where(condition))
        return found[0] if found else None

    async def _select(self, statement: Select[Any]) -> list[OwnedKey]:
        def rows(connection: Connection) -> list[OwnedKey]:
            width = len(KEY_COLUMNS)
            return [(KeyRow(*row[:width]), TenantRow(*row[width:])) for row in connection.execute(statement)]

        return await self._database.read_sync(rows)


_OWNED = select(*KEY_COLUMNS, *TENANT_COLUMNS).join_from(keys, tenants)


def _named(key_id: str, tenant_id: str | None) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = keys.c.id == key_id
    return condition if tenant_id is None else condition & (keys.c.tenant_id == tenant_id)


async def _add(connection: AsyncConnection, row: KeyRow) -> None:
    version = await next_version(connection)
    await connection.execute(insert(keys).values(asdict(row) | {"version": version}))
