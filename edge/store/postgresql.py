"""Opens the PostgreSQL database that the edges of a fleet share."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any
from weakref import WeakSet

from psycopg import AsyncConnection, Error, OperationalError
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from edge.store.database import DEADLINE_SECONDS, Database
from edge.store.errors import StoreError

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 4.5
"""Below the deadline, so that what nobody waits for any more ends at the server too."""

CONNECTIONS = 5
"""Of one process, and as many again for a while. Nothing on the path of a request needs one."""


def parse_url(url: str) -> URL:
    """Return the URL of a PostgreSQL database for the driver that is used here.

    Raises:
        ValueError: it is none; the message does not repeat it, for it may hold a password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("must be a URL like postgresql://user:password@host:5432/database") from None
    if parsed.drivername not in {"postgresql", "postgres"}:
        raise ValueError("must begin with postgresql://, for no other database can be a fleet's")
    if not parsed.database:
        raise ValueError("must name a database at its end, like postgresql://host:5432/nearedge")
    return parsed.set(drivername="postgresql+psycopg")


class _Connections:
    """The open connections of a process."""

    def __init__(self) -> None:
        self._open: WeakSet[AsyncConnection[Any]] = WeakSet()
        self._hung_up = False

    def permit(self, *_: object) -> None:
        """Raise an error instead of letting one be made, once they are hung up."""
        if self._hung_up:
            raise OperationalError("it is being closed")

    def add(self, connection: Any, _record: object) -> None:
        self._open.add(connection.driver_connection)

    def hang_up(self) -> None:
        """Have whoever waits for an answer find that the server has gone. To be cancelled instead takes
        psycopg ten seconds where the server does not answer."""
        self._hung_up = True
        for connection in self._open:
            with suppress(OSError, Error):  # it has ended by itself
                if not connection.closed:
                    with socket.socket(fileno=os.dup(connection.fileno())) as line:
                        line.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def open_postgresql(url: str) -> AsyncIterator[Database]:
    """Give access to the database at *url*. Nothing is connected to before it is used.

    Its schema is not looked at here: ``Database.migrate`` does that.

    Raises:
        StoreError: *url* is none of a PostgreSQL database.
    """
    try:
        parsed = parse_url(url)
    except ValueError as error:
        raise StoreError(f"the database's URL {error}") from None
    engine = create_async_engine(
        parsed,
        pool_size=CONNECTIONS,
        max_overflow=CONNECTIONS,
        pool_timeout=DEADLINE_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "nearedge",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": int(DEADLINE_SECONDS * 1000),
            # Between the edge and the database may stand a pooler that knows no prepared statements.
            "prepare_threshold": None,
        },
    )
    connections = _Connections()
    event.listen(engine.sync_engine, "do_connect", connections.permit)
    event.listen(engine.sync_engine, "connect", connections.add)
    event.listen(engine.sync_engine, "connect", _prepare)
    database = Database(
        engine,
        f"PostgreSQL at {parsed.host or 'localhost'}:{parsed.port or 5432}/{parsed.database}",
        reading={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
        writing={},
        migrating={},
        hang_up=connections.hang_up,
    )
    try:
        yield database
    finally:
        await database.close()


def _prepare(connection: Any, _record: Any) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET statement_timeout = {int(STATEMENT_SECONDS * 1000)}")
    connection.commit()
