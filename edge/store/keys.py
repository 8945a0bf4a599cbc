"""Keys at rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.database import Database
from edge.store.tables import keys


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A stored key; ``scopes`` joined by spaces, times RFC 3339 in UTC."""

    id: str
    name: str
    scopes: str
    created_at: str
    revoked_at: str | None


_COLUMNS = (keys.c.id, keys.c.name, keys.c.scopes, keys.c.created_at, keys.c.revoked_at)


class KeyStore:
    """Reads and writes keys. Every method raises StoreError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: KeyRow, sha256: str) -> None:
        """Store a new key under the hex digest of its raw text."""
        values = {column.name: getattr(row, column.name) for column in _COLUMNS} | {"sha256": sha256}
        await self._database.write(lambda connection: connection.execute(insert(keys).values(values)))

    async def find(self, sha256: str) -> KeyRow | None:
        """Return the key with this digest, revoked or not."""
        found = await self._select(select(*_COLUMNS).where(keys.c.sha256 == sha256))
        return found[0] if found else None

    async def all(self) -> Sequence[KeyRow]:
        """Return every key, the oldest first."""
        return await self._select(select(*_COLUMNS).order_by(keys.c.created_at, keys.c.id))

    async def revoke(self, key_id: str, at: str) -> bool:
        """Mark a key revoked; False if there is no such key, or it is revoked already."""
        statement = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=at)
        result = await self._database.write(lambda connection: connection.execute(statement))
        return bool(result.rowcount)

    async def _select(self, statement: Select[Any]) -> list[KeyRow]:
        async def rows(connection: AsyncConnection) -> list[KeyRow]:
            return [KeyRow(*row) for row in await connection.execute(statement)]

        return await self._database.read(rows)
