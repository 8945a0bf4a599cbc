"""Opens the database file."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import anyio
from sqlalchemy import URL, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from edge.store.tables import metadata

T = TypeVar("T")

BUSY_SECONDS = 2.0
"""How long a statement waits for another process's write lock."""

DEADLINE_SECONDS = 5.0
"""How long any use of the database may take."""


_BEGIN = "nearedge_begin"
"""Execution option: the statement that opens the transaction."""


class StoreError(Exception):
    """The database did not do what was asked; the message says why."""


class Database:
    """An open database. Use :func:`open_database`."""

    def __init__(self, engine: AsyncEngine, file: Path) -> None:
        self._engine = engine
        self._file = file
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Return what *work* does on one state of the database; it never waits for a writer.

        Raises:
            StoreError: the database failed or did not answer in time.
        """
        return await self._run("BEGIN", work)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Return what *work* does while it holds the write lock, and commit it.

        Taking the lock at the start makes a transaction wait its turn instead of failing half-way. One that
        does not answer in time, or whose caller is cancelled, is still carried to its end.

        Raises:
            StoreError: the database failed or did not answer in time.
        """
        return await self._run("BEGIN IMMEDIATE", work)

    async def _run(self, begin: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        # A task of its own, which nothing cancels: SQLAlchemy answers the cancelling of a statement with a
        # task that never ends, and keeps the process from ending.
        task = asyncio.create_task(self._transact(begin, work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        try:
            with anyio.fail_after(DEADLINE_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise StoreError(f"{self._file} did not answer within {DEADLINE_SECONDS:g} s") from error
        except SQLAlchemyError as error:
            raise StoreError(f"{self._file}: {getattr(error, 'orig', None) or error}") from error

    async def _transact(self, begin: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._engine.connect() as connection:
            await connection.execution_options(**{_BEGIN: begin})
            async with connection.begin():
                return await work(connection)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains where the caller has left

    async def close(self) -> None:
        """Wait for what is under way, and close every connection; both within the deadline."""
        with anyio.move_on_after(DEADLINE_SECONDS, shield=True):
            if self._running:
                await asyncio.wait(self._running)
            await self._engine.dispose()


def database_file(home: Path) -> Path:
    """Return where the database of a node lies."""
    return home / "nearedge.db"


@asynccontextmanager
async def open_database(file: Path) -> AsyncIterator[Database]:
    """Open the SQLite database *file*, made with its tables if it does not exist yet.

    Several processes may open it at once: it is in WAL mode, and the tables are made under a write lock.

    Raises:
        StoreError: the file cannot be opened or is no database.
    """
    _make_private(file)
    url = URL.create("sqlite+aiosqlite", database=str(file))
    engine = create_async_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    database = Database(engine, file)
    try:
        await database.write(lambda connection: connection.run_sync(metadata.create_all))
        yield database
    finally:
        await database.close()


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
    except BaseException:
        connection.close()  # the pool forgets it, and its thread would outlive the event loop
        raise


def _begin(connection: Any) -> None:
    connection.exec_driver_sql(connection.get_execution_options()[_BEGIN])
