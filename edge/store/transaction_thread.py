"""A thread that does whole transactions of a SQLite file, each in one go."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")

THREAD_NAME = "nearedge-sqlite"


class TransactionThread:
    """Owns one connection of *engine*, opened when it is first needed; transactions take turns.

    The drivers for asyncio change threads for every statement, which costs more than a small transaction.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._executor = ThreadPoolExecutor(1, THREAD_NAME)
        self._connection: Connection | None = None

    def run(self, options: Mapping[str, Any], work: Callable[[Connection], T]) -> "asyncio.Future[T]":
        """Have *work* done in a transaction that begins with these execution options, and is committed if it
        raises nothing."""
        return asyncio.get_running_loop().run_in_executor(self._executor, self._transact, options, work)

    def _transact(self, options: Mapping[str, Any], work: Callable[[Connection], T]) -> T:
        connection, self._connection = self._connection or self._engine.connect(), None
        try:
            connection.execution_options(**options)
            with connection.begin():
                result = work(connection)
        except BaseException:
            connection.close()  # the next one begins with a connection about which nothing is in doubt
            raise
        self._connection = connection
        return result

    async def close(self) -> None:
        """Close the connection, and let the thread end, after what is under way."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        finally:
            self._executor.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()
