"""Events of calls in the edge's own file, until the fleet has them."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, select, update

from edge.store.database import Database
from edge.store.event_rows import EVENT_COLUMNS, add_events, statement_adding, unknown
from edge.store.tables.credits import leases
from edge.store.tables.usage import usage_events, usage_outbox
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

    async def settle(self, events: Sequence[UsageEvent], *, again: bool = False) -> Sequence[UsageEvent]:
        """Add *events*, up to MOST_TOGETHER, and so take what they charge from their leases: all or none.

        With *again* those that are there already are left alone. Returns those that were dropped, for their
        ids are those of other events.
        """
        if not again:
            await self._database.execute(*statement_adding(usage_outbox, events))
            return ()

        def work(connection: Connection) -> Sequence[UsageEvent]:
            new, dropped = _unknown(connection, events)
            if new:
                add_events(connection, usage_outbox, new)
            return dropped

        return await self._database.write_sync(work)

    async def oldest(self, limit: int) -> list[UsageEvent]:
        """Return up to *limit* events in the order in which they were added."""
        statement = select(*_COLUMNS).order_by(usage_outbox.c.seq).limit(limit)

        def rows(connection: Connection) -> list[UsageEvent]:
            return list(map(UsageEvent._make, connection.execute(statement)))

        return await self._database.read_sync(rows)

    async def forget(self, events: Sequence[UsageEvent], dropped: Sequence[UsageEvent] = ()) -> None:
        """Delete *events*, which have arrived. What those that were *dropped* there had charged is not taken
        from their leases any more.
        """
        deletion = delete(usage_outbox).where(usage_outbox.c.id.in_([event.id for event in events]))
        uncounted = {event.id for event in dropped}

        def work(connection: Connection) -> None:
            # Edges of one node send on the same events, and each deletes what is still there.
            gone = set(connection.execute(deletion.returning(usage_outbox.c.id)).scalars()) - uncounted
            charged: Counter[str] = Counter()
            for event in events:
                if event.id in gone and event.lease_id is not None and event.charged_micro:
                    charged[event.lease_id] += event.charged_micro
            if charged:
                connection.execute(_SHIPPED, [{"lease": k, "micro": v} for k, v in charged.items()])

        await self._database.write_sync(work)

    async def size(self) -> int:
        """Return how many events there are."""

        def count(connection: Connection) -> int:
            return (connection.execute(select(func.count()).select_from(usage_outbox))).scalar_one()

        return await self._database.read_sync(count)


def _unknown(
    connection: Connection, events: Sequence[UsageEvent]
) -> tuple[Sequence[UsageEvent], Sequence[UsageEvent]]:
    """As ``unknown``, of those that wait and those that have arrived, as far as they lie in this file."""
    fresh, waiting = unknown(connection, usage_outbox, events)
    new, arrived = unknown(connection, usage_events, fresh)
    return new, [*waiting, *arrived]
