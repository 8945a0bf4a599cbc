"""A database as the rest of the edge sees it: work done in a transaction, within a time."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from edge.store.errors import StoreError
from edge.store.migrate import is_current, migrate
from edge.store.transaction_thread import TransactionThread

T = TypeVar("T")

DEADLINE_SECONDS = 5.0
"""How long any use of a database may take."""

LAST_SECONDS = DEADLINE_SECONDS / 20
"""How much of it is left at the end to hang up on a server that does not answer."""

MIGRATION_SECONDS = 120.0
"""How long bringing it to the newest schema may take, waiting for another process that does included."""


class Database:
    """An open database, named *name* in errors. Use ``open_sqlite`` or ``open_postgresql``.

    *reading*, *writing* and *migrating* are the execution options that a transaction of each kind
    begins with. *reader* and *writer* do the work of ``read_sync`` and ``write_sync``, if there are such.
    *hang_up* ends all connections under those who wait for an answer on them.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        name: str,
        *,
        reading: Mapping[str, Any],
        writing: Mapping[str, Any],
        migrating: Mapping[str, Any],
        reader: TransactionThread | None = None,
        writer: TransactionThread | None = None,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._name = name
        self._reading = reading
        self._writing = writing
        self._migrating = migrating
        self._reader = reader
        self._writer = writer
        self._hang_up = hang_up
        self._running: set[asyncio.Future[Any]] = set()

    def __str__(self) -> str:
        return self._name

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Return what *work* does on one state of the database; it never waits for a writer.

        Raises:
            StoreError: the database failed or did not answer in time.
        """
        return await self._run(self._reading, work, DEADLINE_SECONDS)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Return what *work* does, and commit it. It is carried to its end even if it does not answer in
        time, or its caller is cancelled.

        On SQLite it holds the write lock from its start, so that writers take turns instead of failing
        half-way. On PostgreSQL they run side by side: what decides must be read ``with_for_update()``.

        Raises:
            StoreError: the database failed or did not answer in time.
        """
        return await self._run(self._writing, work, DEADLINE_SECONDS)

    async def read_sync(self, work: Callable[[Connection], T]) -> T:
        """Return what *work* does, like :meth:`read`; on SQLite in a thread, all at once, at less cost."""
        return await self._run_sync(self._reader, self._reading, work)

    async def write_sync(self, work: Callable[[Connection], T]) -> T:
        """Return what *work* does, and commit it, like :meth:`write`; on SQLite in a thread, all at once."""
        return await self._run_sync(self._writer, self._writing, work)

    async def execute(self, statement: str, values: Sequence[Any]) -> None:
        """Execute one statement of SQLite, a transaction of its own, at the least cost that there is.

        Raises:
            StoreError: the database failed or did not answer in time.
        """
        assert self._writer is not None, "only a file has threads"
        with self._naming_errors(DEADLINE_SECONDS):
            await self._writer.execute(statement, values, seconds=DEADLINE_SECONDS)

    async def migrate(self) -> None:
        """Bring the schema to the newest one that this code knows.

        Raises:
            NewerDatabase: it has a newer one.
            StoreError: the database failed or did not answer in time.
        """
        if not await self.read(lambda connection: connection.run_sync(is_current)):
            await self._run(
                self._migrating, lambda connection: connection.run_sync(migrate), MIGRATION_SECONDS
            )

    async def _run_sync(
        self, thread: TransactionThread | None, options: Mapping[str, Any], work: Callable[[Connection], T]
    ) -> T:
        if thread is None:
            return await self._run(options, lambda connection: connection.run_sync(work), DEADLINE_SECONDS)
        with self._naming_errors(DEADLINE_SECONDS):
            return await thread.run(options, work, seconds=DEADLINE_SECONDS)

    async def _run(
        self, options: Mapping[str, Any], work: Callable[[AsyncConnection], Awaitable[T]], seconds: float
    ) -> T:
        # A task of its own, which nothing cancels: SQLAlchemy answers the cancelling of a statement with a
        # task that never ends, and keeps the process from ending.
        running = asyncio.create_task(self._transact(options, work))
        self._running.add(running)
        running.add_done_callback(self._forget)
        with self._naming_errors(seconds), anyio.fail_after(seconds):
            return await asyncio.shield(running)

    @contextmanager
    def _naming_errors(self, seconds: float) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise StoreError(f"{self} did not answer within {seconds:g} s") from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(f"{self}: {_reason(error)}") from error
        except StoreError as error:
            raise type(error)(f"{self}: {error}") from error

    async def _transact(
        self, options: Mapping[str, Any], work: Callable[[AsyncConnection], Awaitable[T]]
    ) -> T:
        async with self._engine.connect() as connection:
            await connection.execution_options(**options)
            async with connection.begin():
                return await work(connection)

    def _forget(self, ended: "asyncio.Future[Any]") -> None:
        self._running.discard(ended)
        if not ended.cancelled():
            ended.exception()  # looked at, or asyncio complains where the caller has left

    async def close(self) -> None:
        """Wait for what is under way, and close every connection; both within the deadline. What a server has
        not answered until then ends, for the process must not wait for it."""
        with anyio.move_on_after(DEADLINE_SECONDS, shield=True):
            if self._running:
                await asyncio.wait(self._running, timeout=DEADLINE_SECONDS - LAST_SECONDS)
            if self._running and self._hang_up is not None:
                self._hang_up()
            if self._running:
                await asyncio.wait(self._running)
            for thread in (self._reader, self._writer):
                if thread is not None:
                    await thread.close()
            await self._engine.dispose()


def _reason(error: Exception) -> str:
    """Return what the database itself says, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
