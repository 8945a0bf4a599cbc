"""Events of calls as rows of their tables."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import sqlite

from edge.store.tables.usage import usage_events, usage_outbox
from edge.store.usage_event import UsageEvent

EVENT_COLUMNS = UsageEvent._fields


def _insert_by_place(table: Table) -> str:
    compiled = insert(table).compile(dialect=sqlite.dialect(), column_keys=EVENT_COLUMNS)
    if tuple(compiled.positiontup or ()) != EVENT_COLUMNS:
        raise AssertionError(f"the columns of {table} are in another order than an event's fields")
    return str(compiled)


_TABLES = (usage_outbox, usage_events)
_BY_PLACE = {table: _insert_by_place(table) for table in _TABLES}
_SELECT = {table: select(*(table.c[name] for name in EVENT_COLUMNS)) for table in _TABLES}


def add_events(connection: Connection, table: Table, events: Sequence[UsageEvent]) -> None:
    """Add *events* to *table*, one of the two that hold them."""
    if connection.dialect.name == "sqlite":
        # An event is the row already: to name its values, and put them in order again, would take longest.
        connection.exec_driver_sql(_BY_PLACE[table], list(events))
    else:
        connection.execute(insert(table), [event._asdict() for event in events])


def unknown(
    connection: Connection, table: Table, events: Sequence[UsageEvent]
) -> tuple[list[UsageEvent], list[UsageEvent]]:
    """Return those of *events* whose ids *table* does not have, and those whose ids are other events' there.

    An event that is there itself is neither.
    """
    found = connection.execute(_SELECT[table].where(table.c.id.in_([event.id for event in events])))
    first = {event.id: event for event in map(UsageEvent._make, found)}
    new: list[UsageEvent] = []
    others: list[UsageEvent] = []
    for event in events:
        if event.id not in first:
            first[event.id] = event
            new.append(event)
        elif event != first[event.id]:
            others.append(event)
    return new, others
