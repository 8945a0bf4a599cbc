"""A thread that does whole transactions of a SQLite file, each in one go."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")

THREAD_NAME = "nearedge-sqlite"


class TransactionThread:
    """Owns one connection of *engine*, opened when it is first needed; transactions take turns.

    The drivers for asyncio change threads for every statement, which costs more than a small transaction; so
    does an executor with its futures of two kinds.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None

    def run(
        self, options: Mapping[str, Any], work: Callable[[Connection], T], *, seconds: float
    ) -> "asyncio.Future[T]":
        """Have *work* done in a transaction that begins with these execution options, and is committed if it
        raises nothing. Whoever awaits it gets a TimeoutError after *seconds*; it is done all the same.
        """
        return self._post(lambda: self._transact(options, work), seconds)

    def execute(self, statement: str, values: Sequence[Any], *, seconds: float) -> "asyncio.Future[None]":
        """Have one statement executed, which is a transaction of its own; else like :meth:`run`.

        This thread and the event loop's hand the interpreter to each other around every call of SQLite.
        That costs more than a small statement, and here there is one call.
        """
        return self._post(lambda: self._execute(statement, values), seconds)

    def _post(self, do: Callable[[], T], seconds: float) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        alarm = loop.call_later(seconds, _settle, future, None, TimeoutError())

        def tell(result: Any, error: BaseException | None) -> None:
            alarm.cancel()
            _settle(future, result, error)

        def job() -> None:
            result, failure = None, None
            try:
                result = do()
            except BaseException as error:  # noqa: BLE001 - whoever awaits it gets it
                failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(tell, result, failure)

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            self._thread.start()
        self._jobs.put(job)
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

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

    def _execute(self, statement: str, values: Sequence[Any]) -> None:
        connection, self._connection = self._connection or self._engine.connect(), None
        try:
            driver: Any = connection.connection.driver_connection
            driver.execute(statement, values)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    async def close(self) -> None:
        """Let the thread end, and close the connection, after what was given to it."""
        if self._thread is None:
            return
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            if self._connection is not None:
                self._connection.close()
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(closed.set)

        self._jobs.put(close)
        self._jobs.put(None)
        await closed.wait()


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
