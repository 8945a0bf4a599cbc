"""Events of calls as rows of their tables."""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import sqlite

from edge.store.tables.usage import usage_events, usage_outbox
from edge.store.usage_event import UsageEvent

EVENT_COLUMNS = UsageEvent._fields

MOST_TOGETHER = 64
"""Events of one statement: each number of them has a prepared one, which SQLite's driver keeps."""


def _insert_by_place(table: Table) -> str:
    compiled = insert(table).compile(dialect=sqlite.dialect(), column_keys=EVENT_COLUMNS)
    if tuple(compiled.positiontup or ()) != EVENT_COLUMNS:
        raise AssertionError(f"the columns of {table} are in another order than an event's fields")
    return str(compiled)


_TABLES = (usage_outbox, usage_events)
_BY_PLACE = {table: _insert_by_place(table) for table in _TABLES}
_SELECT = {table: select(*(table.c[name] for name in EVENT_COLUMNS)) for table in _TABLES}


def add_events(connection: Connection, table: Table, events: Sequence[UsageEvent]) -> None:
    """Add *events* to *table*, one of the two that hold them.

    Raises:
        sqlite3.Error, SQLAlchemyError: the database failed.
    """
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        # An event is the row already: to name its values, and put them in order again, would take longest.
        driver.executemany(_BY_PLACE[table], events)
    else:
        connection.execute(insert(table), [event._asdict() for event in events])


def statement_adding(table: Table, events: Sequence[UsageEvent]) -> tuple[str, list[Any]]:
    """Return one statement of SQLite that adds all *events*, up to MOST_TOGETHER, and its values."""
    return _insert_together(table, len(events)), list(chain.from_iterable(events))


@lru_cache(maxsize=2 * MOST_TOGETHER)
def _insert_together(table: Table, count: int) -> str:
    beginning, row = _BY_PLACE[table].split(" VALUES ")
    return f"{beginning} VALUES {', '.join([row] * count)}"


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
