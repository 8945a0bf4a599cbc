import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, text

from edge.store import Database, StoreError, database_file, open_sqlite, sqlite
from edge.store import database as module
from edge.store.transaction_thread import THREAD_NAME
from tests.edge.store.databases import Place

pytestmark = pytest.mark.anyio

INSERT = "INSERT INTO versions VALUES ('a', 1)"


def done(*statements: str) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    return work


async def names(database: Database) -> list[str]:
    def work(connection: Connection) -> list[str]:
        return list(connection.execute(text("SELECT name FROM versions WHERE name IN ('a', 'b')")).scalars())

    return sorted(await database.read_sync(work))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def locked(file: Path) -> "closing[sqlite3.Connection]":
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return closing(other)


async def test_a_transaction_is_done_whole_or_not_at_all(place: Place) -> None:
    async with place.open() as database:
        with pytest.raises(StoreError, match="nowhere"):
            await database.write_sync(done(INSERT, "DELETE FROM nowhere"))
        assert await names(database) == []
        await database.write_sync(done(INSERT))
        assert await names(database) == ["a"]
    async with place.open() as database:
        assert await names(database) == ["a"]


async def test_it_is_done_in_threads_for_reading_and_writing_which_end_with_the_database(
    tmp_path: Path,
) -> None:
    def here(_connection: Connection) -> str:
        return threading.current_thread().name

    async with open_sqlite(database_file(tmp_path)) as database:
        assert threads() == []
        found = [await database.write_sync(here) for _ in range(2)]
        assert found == threads() * 2
        await database.read_sync(here)
        assert len(threads()) == 2
    with anyio.fail_after(5):
        while threads():
            await anyio.sleep(0.01)


async def test_a_file_that_is_locked_is_given_up_within_its_time_and_used_again_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    file = database_file(tmp_path)
    async with open_sqlite(file) as database:
        await database.write_sync(done(INSERT))
        with locked(file):
            started = time.monotonic()
            with pytest.raises(StoreError, match=r"nearedge\.db: database is locked"):
                await database.write_sync(done(INSERT.replace("a", "b")))
            assert 0.2 <= time.monotonic() - started < 2
            assert await names(database) == ["a"]  # who reads waits for no writer
        await database.write_sync(done("INSERT INTO versions VALUES ('b', 1)"))
        assert await names(database) == ["a", "b"]


async def test_it_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.2)

    def slow(connection: Connection) -> None:
        time.sleep(0.3)
        connection.execute(text(INSERT))

    async with open_sqlite(database_file(tmp_path)) as database:
        with pytest.raises(StoreError, match=r"nearedge\.db did not answer within 0\.2 s"):
            await database.write_sync(slow)
    monkeypatch.undo()
    async with open_sqlite(database_file(tmp_path)) as database:
        assert await names(database) == ["a"]  # it was carried to its end


async def test_work_of_a_caller_who_is_cancelled_is_carried_to_its_end(tmp_path: Path) -> None:
    tasks = asyncio.all_tasks()
    begun = threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        time.sleep(0.2)
        connection.execute(text(INSERT))

    async with open_sqlite(database_file(tmp_path)) as database:
        started = time.monotonic()
        with anyio.move_on_after(0.05):
            await database.write_sync(slow)
        assert time.monotonic() - started < 0.2
        assert begun.is_set()
    assert asyncio.all_tasks() == tasks
    async with open_sqlite(database_file(tmp_path)) as database:
        assert await names(database) == ["a"]


async def test_transactions_take_turns_with_those_of_other_connections(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        await database.write_sync(done("INSERT INTO versions VALUES ('a', 0)"))
        add = "UPDATE versions SET value = value + 1 WHERE name = 'a'"

        async def beside(connection: Any) -> None:
            await connection.run_sync(done(add))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(database.write_sync, done(add))
                tasks.start_soon(database.write, beside)

        def total(connection: Connection) -> int:
            return int(connection.execute(text("SELECT value FROM versions WHERE name = 'a'")).scalar_one())

        assert await database.read_sync(total) == 20
