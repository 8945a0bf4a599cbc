"""Events of calls in the edge's own file, until the fleet has them."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, select, update

from edge.store.database import Database
from edge.store.event_rows import EVENT_COLUMNS, add_events
from edge.store.tables.credits import leases
from edge.store.tables.usage import usage_outbox
from edge.store.usage_event import UsageEvent

_COLUMNS = tuple(usage_outbox.c[name] for name in EVENT_COLUMNS)
_SETTLE = (
    update(leases)
    .where(leases.c.id == bindparam("lease"))
    .values(settled_micro=leases.c.settled_micro + bindparam("micro"))
)


class OutboxStore:
    """Adds and takes events. Every method raises StoreError when the database fails."""

    def __init__(self, local: Database) -> None:
        self._database = local

    async def settle(self, events: Sequence[UsageEvent], *, again: bool = False) -> None:
        """Add *events*, and take what they charge from their leases: both or neither.

        With *again* those that are there already are left alone.
        """

        def work(connection: Connection) -> None:
            new = _unknown(connection, events) if again else events
            if not new:
                return
            add_events(connection, usage_outbox, new)
            charged: Counter[str] = Counter()
            for event in new:
                if event.lease_id is not None and event.charged_micro:
                    charged[event.lease_id] += event.charged_micro
            if charged:
                connection.execute(_SETTLE, [{"lease": k, "micro": v} for k, v in charged.items()])

        await self._database.write_sync(work)

    async def oldest(self, limit: int) -> list[UsageEvent]:
        """Return up to *limit* events in the order in which they were added."""
        statement = select(*_COLUMNS).order_by(usage_outbox.c.seq).limit(limit)

        def rows(connection: Connection) -> list[UsageEvent]:
            return list(map(UsageEvent._make, connection.execute(statement)))

        return await self._database.read_sync(rows)

    async def forget(self, ids: Sequence[str]) -> None:
        """Delete the events of these *ids*, which have arrived."""
        statement = delete(usage_outbox).where(usage_outbox.c.id.in_(ids))
        await self._database.write_sync(lambda connection: connection.execute(statement))

    async def size(self) -> int:
        """Return how many events there are."""

        def count(connection: Connection) -> int:
            return (connection.execute(select(func.count()).select_from(usage_outbox))).scalar_one()

        return await self._database.read_sync(count)


def _unknown(connection: Connection, events: Sequence[UsageEvent]) -> list[UsageEvent]:
    known = select(usage_outbox.c.id).where(usage_outbox.c.id.in_([event.id for event in events]))
    found = set((connection.execute(known)).scalars())
    return [event for event in events if event.id not in found]
