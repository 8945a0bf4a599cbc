"""Events of calls in the edge's own file, until the fleet has them."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, select, update

from edge.store.database import Database
from edge.store.event_rows import EVENT_COLUMNS, add_events, statement_adding
from edge.store.tables.credits import leases
from edge.store.tables.usage import usage_outbox
from edge.store.usage_event import UsageEvent

_COLUMNS = tuple(usage_outbox.c[name] for name in EVENT_COLUMNS)
_SHIPPED = (
    update(leases)
    .where(leases.c.id == bindparam("lease"))
    .values(settled_micro=leases.c.settled_micro + bindparam("micro"))
)


class OutboxStore:
    """Adds and takes events. Every method raises StoreError when the database fails.

    What an event charges counts as taken from its lease as long as the event is here, see
    ``HeldLeases.of``, and after that by the lease's ``settled_micro``.
    """

    def __init__(self, local: Database) -> None:
        self._database = local

    async def settle(self, events: Sequence[UsageEvent], *, again: bool = False) -> None:
        """Add *events*, up to MOST_TOGETHER, and so take what they charge from their leases: all or none.

        With *again* those that are there already are left alone.
        """
        if not again:
            await self._database.execute(*statement_adding(usage_outbox, events))
            return

        def work(connection: Connection) -> None:
            new = _unknown(connection, events)
            if new:
                add_events(connection, usage_outbox, new)

        await self._database.write_sync(work)

    async def oldest(self, limit: int) -> list[UsageEvent]:
        """Return up to *limit* events in the order in which they were added."""
        statement = select(*_COLUMNS).order_by(usage_outbox.c.seq).limit(limit)

        def rows(connection: Connection) -> list[UsageEvent]:
            return list(map(UsageEvent._make, connection.execute(statement)))

        return await self._database.read_sync(rows)

    async def forget(self, events: Sequence[UsageEvent]) -> None:
        """Delete *events*, which are here and have arrived."""
        statement = delete(usage_outbox).where(usage_outbox.c.id.in_([event.id for event in events]))
        charged: Counter[str] = Counter()
        for event in events:
            if event.lease_id is not None and event.charged_micro:
                charged[event.lease_id] += event.charged_micro

        def work(connection: Connection) -> None:
            connection.execute(statement)
            if charged:
                connection.execute(_SHIPPED, [{"lease": k, "micro": v} for k, v in charged.items()])

        await self._database.write_sync(work)

    async def size(self) -> int:
        """Return how many events there are."""

        def count(connection: Connection) -> int:
            return (connection.execute(select(func.count()).select_from(usage_outbox))).scalar_one()

        return await self._database.read_sync(count)


def _unknown(connection: Connection, events: Sequence[UsageEvent]) -> list[UsageEvent]:
    known = select(usage_outbox.c.id).where(usage_outbox.c.id.in_([event.id for event in events]))
    found = set((connection.execute(known)).scalars())
    return [event for event in events if event.id not in found]
