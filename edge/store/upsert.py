"""INSERT as both databases extend it."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def insert(connection: AsyncConnection | Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT into *table* that knows ``on_conflict_do_update`` and ``on_conflict_do_nothing``.

    Whether a row was added is told by ``returning()``; on PostgreSQL the result's ``rowcount`` is not.
    """
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def upsert(connection: AsyncConnection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT into *table* that replaces the row of the same primary key."""
    statement = insert(connection, table)
    own = [column.name for column in table.primary_key]
    new: dict[str, Any] = {
        column.name: statement.excluded[column.name] for column in table.c if column.name not in own
    }
    return statement.on_conflict_do_update(index_elements=own, set_=new)
