"""The leases of one edge, in its own file."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.database import Database
from edge.store.leases import LEASE, Cut, LeaseRow, values
from edge.store.tables.credits import leases
from edge.store.tables.usage import usage_outbox
from edge.store.upsert import insert


class HeldLeases:
    """What an edge has left of its leases survives a restart. Every method raises StoreError when the file
    fails.
    """

    def __init__(self, local: Database) -> None:
        self._database = local

    async def of(self, holder: str) -> Sequence[LeaseRow]:
        """Return the open leases of *holder*, with all that was settled of them up to now."""
        # In one pass over the outbox, which grows while the fleet's database is away.
        waiting = (
            select(usage_outbox.c.lease_id, func.sum(usage_outbox.c.charged_micro).label("micro"))
            .group_by(usage_outbox.c.lease_id)
            .subquery()
        )
        statement = (
            select(*LEASE, func.coalesce(waiting.c.micro, 0))
            .outerjoin(waiting, waiting.c.lease_id == leases.c.id)
            .where(leases.c.holder == holder, leases.c.closed_at.is_(None))
        )

        async def rows(connection: AsyncConnection) -> list[LeaseRow]:
            found = [(LeaseRow(*row), micro) for *row, micro in await connection.execute(statement)]
            return [replace(row, settled_micro=row.settled_micro + micro) for row, micro in found]

        return await self._database.read(rows)

    async def keep(self, rows: Sequence[LeaseRow]) -> None:
        """Store leases of the fleet as they are now, but for what was settled, which is counted here. A state
        older than the stored one changes nothing.
        """
        if not rows:
            return

        async def work(connection: AsyncConnection) -> None:
            statement = insert(connection, leases)
            new = {name: statement.excluded[name] for name in ("granted_micro", "expires_at", "moves")}
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["id"], set_=new, where=statement.excluded.moves > leases.c.moves
                ),
                [values(row) for row in rows],
            )

        await self._database.write(work)

    async def lower(self, cuts: Sequence[Cut]) -> None:
        """Store that no more is to be spent of leases than what *cuts* leave."""
        statement = (
            update(leases)
            .where(leases.c.id == bindparam("lease"), leases.c.granted_micro > bindparam("most"))
            .values(granted_micro=bindparam("most"))
        )
        rows = [{"lease": cut.lease_id, "most": cut.granted_micro} for cut in cuts]
        await self._database.write(lambda connection: connection.execute(statement, rows))

    async def put_off(self, ids: Sequence[str], expires_at: str) -> None:
        """Store when leases expire now."""
        statement = update(leases).where(leases.c.id.in_(ids)).values(expires_at=expires_at)
        await self._database.write(lambda connection: connection.execute(statement))

    async def drop(self, ids: Sequence[str]) -> None:
        """Delete leases that are no longer held."""
        statement = delete(leases).where(leases.c.id.in_(ids))
        await self._database.write(lambda connection: connection.execute(statement))

    async def settled(self, lease_id: str) -> int | None:
        """Return what calls settled of a lease, in micro-units, if all their events have been sent on."""
        statement = select(leases.c.settled_micro).where(leases.c.id == lease_id, _all_sent(lease_id))
        return await self._database.read_sync(
            lambda connection: connection.execute(statement).scalar_one_or_none()
        )

    async def correct(self, lease_id: str, *, settled_micro: int, known_micro: int) -> bool:
        """Where *settled_micro* is stored of a lease and no event of it is on its way, store *known_micro*
        instead; tell whether that was so.
        """
        statement = (
            update(leases)
            .where(
                leases.c.id == lease_id,
                leases.c.settled_micro == settled_micro,
                _all_sent(lease_id),
            )
            .values(settled_micro=known_micro)
        )

        def work(connection: Connection) -> bool:
            return connection.execute(statement).rowcount == 1

        # In the thread that settles calls: what it was given before is done before.
        return await self._database.write_sync(work)


def _all_sent(lease_id: str) -> ColumnElement[bool]:
    return ~select(usage_outbox.c.seq).where(usage_outbox.c.lease_id == lease_id).exists()
