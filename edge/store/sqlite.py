"""Opens the SQLite file of a node."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, NullPool, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from edge.store.database import MIGRATION_SECONDS, Database
from edge.store.errors import StoreError
from edge.store.transaction_thread import TransactionThread

BUSY_SECONDS = 2.0
"""How long a statement waits for another process's write lock."""

_BEGIN = "nearedge_begin"
"""Execution option: the statement that opens the transaction."""

_WAIT = "nearedge_wait"
"""Execution option: how many seconds it waits for another process's write lock, if not the usual ones."""


def database_file(home: Path, *, in_fleet: bool = False) -> Path:
    """Return where the database of a node lies.

    In a fleet it has a file of its own, which holds a copy of the fleet's keys: those that were made on this
    node alone are kept, and count again once it leaves the fleet.
    """
    return home / ("fleet.db" if in_fleet else "nearedge.db")


@asynccontextmanager
async def open_sqlite(file: Path) -> AsyncIterator[Database]:
    """Open the SQLite database *file*, made with its tables if it does not exist yet.

    Several processes may open it at once: it is in WAL mode, and migrations run under the write lock.

    Raises:
        StoreError: the file cannot be opened, is no database, or is one of a newer version of Nearedge.
    """
    _make_private(file)
    url = URL.create("sqlite+aiosqlite", database=str(file))
    engine = create_async_engine(url, connect_args={"timeout": BUSY_SECONDS})
    _listen(engine.sync_engine)
    direct = create_engine(
        url.set(drivername="sqlite"),
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        poolclass=NullPool,
    )
    _listen(direct)
    database = Database(
        engine,
        str(file),
        reading={_BEGIN: "BEGIN"},
        writing={_BEGIN: "BEGIN IMMEDIATE"},
        migrating={_BEGIN: "BEGIN IMMEDIATE", _WAIT: MIGRATION_SECONDS},
        reader=TransactionThread(direct),
        writer=TransactionThread(direct),
    )
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()


def _listen(engine: Engine) -> None:
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)


def _make_private(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError as error:
        raise StoreError(f"{file} cannot be made: {error.strerror}") from error
    # Seen here and not by opening it: closing a file drops this process's SQLite locks on it.
    if not file.is_file() or not os.access(file, os.R_OK | os.W_OK):
        raise StoreError(f"{file} is no file that can be read and written")


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver opens no transactions by itself: _begin does
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()  # the pool forgets it, and its thread would outlive the event loop
        raise


def _begin(connection: Any) -> None:
    options = connection.get_execution_options()
    wait = options.get(_WAIT)
    if wait is None:
        connection.exec_driver_sql(options[_BEGIN])
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout={int(wait * 1000)}")
    try:
        connection.exec_driver_sql(options[_BEGIN])
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
