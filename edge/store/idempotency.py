"""Requests that must not be done twice, at rest."""

from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.database import Database
from edge.store.tables import idempotency as table
from edge.store.upsert import insert

RUNNING, KEPT, LOST = "running", "kept", "lost"
BATCH_ROWS = 500
"""What one transaction deletes: the write lock is not held for long."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is stored of a request when it begins. Times ending in ``_ms`` are Unix milliseconds.

    ``created_at`` (RFC 3339) is when it was begun for the first time: whoever takes it over keeps that.
    """

    id: str
    tenant_id: str
    fingerprint: str
    owner: str
    created_at: str
    lease_until_ms: int
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class IdempotencyRow:
    """What is known of a request; ``headers`` as JSON, and they, status and body once it is ``kept``."""

    fingerprint: str
    state: str
    lease_until_ms: int
    expires_at_ms: int
    status: int | None
    headers: str | None
    body: bytes | None


_COLUMNS = tuple(table.c[name] for name in IdempotencyRow.__slots__)


class IdempotencyStore:
    """Reads and writes claims and answers. Every method raises StoreError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, claim: Claim, now_ms: int) -> str | None:
        """Store *claim* and return its ``created_at``: that of the first where it takes over from the dead.

        None if another one is there that has not expired and whose owner lives.
        """
        values = asdict(claim) | {
            "state": RUNNING,
            "size_bytes": 0,
            "status": None,
            "headers": None,
            "body": None,
        }

        async def work(connection: AsyncConnection) -> str | None:
            statement = insert(connection, table).values(values)
            added = statement.on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)
            # Asked for by name: psycopg counts no rows of an INSERT that SQLAlchemy writes.
            if (await connection.execute(added)).one_or_none() is not None:
                return claim.created_at
            expired = table.c.expires_at_ms <= now_ms
            left = and_(table.c.state == RUNNING, table.c.lease_until_ms <= now_ms)
            begun = case((expired, claim.created_at), else_=table.c.created_at)
            taken = update(table).where(table.c.id == claim.id, or_(expired, left))
            returning = taken.values(values | {"created_at": begun}).returning(table.c.created_at)
            first: str | None = (await connection.execute(returning)).scalar_one_or_none()
            return first

        return await self._database.write(work)

    async def find(self, request_id: str) -> IdempotencyRow | None:
        """Return what is known of a request."""

        async def work(connection: AsyncConnection) -> IdempotencyRow | None:
            row = (await connection.execute(select(*_COLUMNS).where(table.c.id == request_id))).one_or_none()
            return IdempotencyRow(*row) if row is not None else None

        return await self._database.read(work)

    async def keep(
        self, request_id: str, owner: str, *, status: int, headers: str, body: bytes | None, size_bytes: int
    ) -> bool:
        """Store the answer to a claim of *owner*; a *body* of None is lost. False if it is his no more."""
        values = {
            "state": LOST if body is None else KEPT,
            "status": status,
            "headers": headers,
            "body": body,
            "size_bytes": 0 if body is None else size_bytes,
        }
        statement = update(table).where(*_held_by(owner), table.c.id == request_id).values(values)
        result = await self._database.write(lambda connection: connection.execute(statement))
        return bool(result.rowcount)

    async def release(self, request_id: str, owner: str) -> None:
        """Delete a claim of *owner* that has no answer."""
        statement = delete(table).where(*_held_by(owner), table.c.id == request_id)
        await self._database.write(lambda connection: connection.execute(statement))

    async def let_go(self, request_id: str, owner: str) -> None:
        """Have whoever comes next take a claim of *owner* over that has no answer."""
        values = {"owner": "", "lease_until_ms": 0}
        statement = update(table).where(*_held_by(owner), table.c.id == request_id).values(values)
        await self._database.write(lambda connection: connection.execute(statement))

    async def begun(self, request_id: str, owner: str, created_at: str) -> None:
        """Note when a claim of *owner* was begun for the first time."""
        statement = update(table).where(*_held_by(owner), table.c.id == request_id)
        values = statement.values(created_at=created_at)
        await self._database.write(lambda connection: connection.execute(values))

    async def renew(self, request_ids: Collection[str], owner: str, lease_until_ms: int) -> None:
        """Lengthen the leases of those claims of *owner* that have no answer yet."""
        statement = update(table).where(*_held_by(owner), table.c.id.in_(request_ids))
        values = statement.values(lease_until_ms=lease_until_ms)
        await self._database.write(lambda connection: connection.execute(values))

    async def delete_expired(self, now_ms: int) -> int:
        """Delete a batch of rows whose time has passed, and return how many."""
        old = select(table.c.id).where(table.c.expires_at_ms <= now_ms).limit(BATCH_ROWS)
        statement = delete(table).where(table.c.id.in_(old))
        result = await self._database.write(lambda connection: connection.execute(statement))
        return int(result.rowcount)

    async def lose_above(self, limit_bytes: int) -> int:
        """Drop the bodies of a batch of the oldest answers if all of them are larger than that.

        Their rows stay: what was done is not done again. Returns how many there were.
        """

        async def size(connection: AsyncConnection) -> int:
            total = select(func.coalesce(func.sum(table.c.size_bytes), 0))
            return int((await connection.execute(total)).scalar_one())

        async def work(connection: AsyncConnection) -> int:
            excess = await size(connection) - limit_bytes
            oldest = (
                select(table.c.id, table.c.size_bytes)
                .where(table.c.state == KEPT, table.c.size_bytes > 0)
                .order_by(table.c.expires_at_ms)
                .limit(BATCH_ROWS)
            )
            lost: list[str] = []
            for row_id, bytes_ in await connection.execute(oldest):
                if excess <= 0:
                    break
                excess -= bytes_
                lost.append(row_id)
            values = {"state": LOST, "body": None, "size_bytes": 0}
            await connection.execute(update(table).where(table.c.id.in_(lost)).values(values))
            return len(lost)

        if await self._database.read(size) <= limit_bytes:
            return 0
        return await self._database.write(work)


def _held_by(owner: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.owner == owner, table.c.state == RUNNING
