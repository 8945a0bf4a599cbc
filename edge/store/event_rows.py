"""Events of calls as rows of their tables."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import sqlite

from edge.store.tables.usage import usage_events, usage_outbox
from edge.store.usage_event import UsageEvent

EVENT_COLUMNS = UsageEvent._fields


def _insert_by_place(table: Table) -> str:
    compiled = insert(table).compile(dialect=sqlite.dialect(), column_keys=EVENT_COLUMNS)
    if tuple(compiled.positiontup or ()) != EVENT_COLUMNS:
        raise AssertionError(f"the columns of {table} are in another order than an event's fields")
    return str(compiled)


_BY_PLACE = {table: _insert_by_place(table) for table in (usage_outbox, usage_events)}


def add_events(connection: Connection, table: Table, events: Sequence[UsageEvent]) -> None:
    """Add *events* to *table*, one of the two that hold them."""
    if connection.dialect.name == "sqlite":
        # An event is the row already: to name its values, and put them in order again, would take longest.
        connection.exec_driver_sql(_BY_PLACE[table], list(events))
    else:
        connection.execute(insert(table), [event._asdict() for event in events])
