import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store import Database, StoreError, database_file, open_sqlite, sqlite
from edge.store import database as module

OPEN = """
import anyio, sys
from pathlib import Path
from edge.store import KeyRow, KeyStore, open_sqlite

async def main():
    sys.stdin.readline()
    async with open_sqlite(Path(sys.argv[1])) as database:
        row = KeyRow(sys.argv[2], "default", "name", sys.argv[2], "inference", "2026-01-01T00:00:00Z")
        await KeyStore(database).add(row)

sys.stdout.write("ready\\n")
sys.stdout.flush()
anyio.run(main)
"""


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


async def execute(connection: AsyncConnection, statement: str) -> Any:
    return await connection.execute(text(statement))


async def count(database: Database, table: str = "keys") -> int:
    async def work(connection: AsyncConnection) -> int:
        return int((await execute(connection, f"SELECT count(*) FROM {table}")).scalar_one())

    return await database.read(work)


async def change(database: Database, *statements: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        for statement in statements:
            await execute(connection, statement)

    await database.write(work)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.anyio
async def test_its_files_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    file = database_file(tmp_path / "some" / "home")
    async with open_sqlite(file) as database:
        await change(database, "UPDATE keys SET name = name")
        made = modes(file.parent)
    assert made == {"nearedge.db": 0o600, "nearedge.db-wal": 0o600, "nearedge.db-shm": 0o600}


def test_several_processes_may_make_it_at_once(tmp_path: Path) -> None:
    file = database_file(tmp_path)
    names = [f"key_{number}" for number in range(4)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(file), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=30)[1] for process in started]
    assert errors == [""] * len(names)
    with closing(sqlite3.connect(file)) as connection:
        assert sorted(row[0] for row in connection.execute("SELECT id FROM keys")) == names
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.anyio
async def test_any_path_is_a_path(tmp_path: Path) -> None:
    file = tmp_path / "a ?mode=memory&b#c%20é" / "nearedge.db"
    async with open_sqlite(file):
        pass
    assert file.read_bytes().startswith(b"SQLite format 3")


async def refusal(file: Path) -> str:
    with pytest.raises(StoreError) as raised:
        async with open_sqlite(file):
            pytest.fail("it was opened")
    return str(raised.value)


@pytest.mark.anyio
async def test_what_is_no_database_is_refused_by_name_and_left_as_it_is(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"garbage" * 1000)
    assert f"{garbage}: file is not a database" in await refusal(garbage)
    assert garbage.read_bytes() == b"garbage" * 1000
    folder = tmp_path / "folder.db"
    folder.mkdir()
    assert str(folder) in await refusal(folder)
    assert str(garbage) in await refusal(garbage / "nearedge.db")


@pytest.mark.anyio
async def test_locked_database_is_given_up_within_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    file = database_file(tmp_path)
    async with open_sqlite(file) as database:
        with locked(file):
            started = time.monotonic()
            with pytest.raises(StoreError, match="database is locked"):
                await change(database, "DELETE FROM keys")
            assert 0.2 <= time.monotonic() - started < 2
            assert await count(database, "versions WHERE name = 'a'") == 0
        await change(database, "DELETE FROM keys")


@pytest.mark.anyio
async def test_database_locked_at_the_start_is_given_up_within_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    file = database_file(tmp_path)
    with locked(file):
        started = time.monotonic()
        assert "database is locked" in await refusal(file)
        assert time.monotonic() - started < 2


@pytest.mark.anyio
async def test_every_use_has_a_deadline_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = asyncio.all_tasks()
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.2)
    async with open_sqlite(database_file(tmp_path)) as database:
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"nearedge\.db did not answer within 0\.2 s"):
            await database.read(lambda _connection: anyio.sleep(0.3))
        assert time.monotonic() - started < 2
        await change(database, "DELETE FROM keys")
    assert asyncio.all_tasks() == tasks


@pytest.mark.anyio
async def test_caller_that_is_cancelled_goes_at_once_and_its_work_is_carried_to_its_end(
    tmp_path: Path,
) -> None:
    tasks = asyncio.all_tasks()
    file = database_file(tmp_path)
    async with open_sqlite(file) as database:
        await change(database, "CREATE TABLE done (n INTEGER)")
        with locked(file):
            started = time.monotonic()
            with anyio.move_on_after(0.1):
                await change(database, "INSERT INTO done VALUES (1)")
            assert time.monotonic() - started < 1.9
        await change(database, "INSERT INTO done VALUES (2)")
    assert asyncio.all_tasks() == tasks
    async with open_sqlite(file) as database:
        assert await count(database, "done") == 2


@pytest.mark.anyio
async def test_closing_under_cancellation_closes(tmp_path: Path) -> None:
    tasks = asyncio.all_tasks()
    with anyio.move_on_after(0.1) as leaving:
        async with open_sqlite(database_file(tmp_path)):
            await anyio.sleep_forever()
    assert leaving.cancelled_caught
    assert asyncio.all_tasks() == tasks
    assert not any("aiosqlite" in repr(thread) for thread in threading.enumerate())


@pytest.mark.anyio
async def test_writers_take_turns(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        await change(database, "CREATE TABLE counter (n INTEGER)", "INSERT INTO counter VALUES (0)")

        async def increment(connection: AsyncConnection) -> None:
            before = (await execute(connection, "SELECT n FROM counter")).scalar_one()
            await anyio.sleep(0.005)
            await execute(connection, f"UPDATE counter SET n = {before + 1}")

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(database.write, increment)
        result = await database.read(lambda connection: execute(connection, "SELECT n FROM counter"))
        assert result.scalar_one() == 10


@pytest.mark.anyio
async def test_failed_write_changes_nothing(tmp_path: Path) -> None:
    insert = "INSERT INTO versions VALUES ('a', 1)"
    async with open_sqlite(database_file(tmp_path)) as database:
        with pytest.raises(StoreError, match="no such table"):
            await change(database, insert, "DELETE FROM nowhere")
        assert await count(database, "versions WHERE name = 'a'") == 0
