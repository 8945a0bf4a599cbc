import asyncio
import time
from urllib.parse import urlsplit

import anyio
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store import StoreError
from edge.store import database as database_module
from edge.store import postgresql as module
from edge.store.postgresql import open_postgresql, parse_url
from tests.edge.store.databases import SERVER
from tests.late_server import LateServer


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_urls_of_postgresql_are_taken(scheme: str) -> None:
    parsed = parse_url(f"{scheme}://me:secret@db:6432/fleet?sslmode=require")
    assert (parsed.drivername, parsed.host, parsed.port) == ("postgresql+psycopg", "db", 6432)
    assert (parsed.database, parsed.query["sslmode"]) == ("fleet", "require")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://me:secret@db/fleet", "must begin with postgresql://"),
        ("postgresql+asyncpg://me:secret@db/fleet", "must begin with postgresql://"),
        ("secret", "must be a URL"),
        ("postgresql://me:secret@db", "must name a database"),
    ],
)
@pytest.mark.anyio
async def test_other_urls_are_refused_without_repeating_them(url: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as raised:
        async with open_postgresql(url):
            pytest.fail("it was opened")
    assert "secret" not in str(raised.value)


@pytest.mark.anyio
async def test_a_server_out_of_reach_is_named_without_its_password() -> None:
    tasks = asyncio.all_tasks()
    async with open_postgresql("postgresql://me:secret@127.0.0.1:1/fleet") as database:
        with pytest.raises(StoreError, match=r"PostgreSQL at 127\.0\.0\.1:1/fleet: .*refused") as raised:
            await database.migrate()
    assert "secret" not in str(raised.value)
    assert asyncio.all_tasks() == tasks


@pytest.mark.anyio
async def test_a_server_that_hangs_is_given_up_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "DEADLINE_SECONDS", 0.3)
    monkeypatch.setattr(module, "CONNECT_SECONDS", 2)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with open_postgresql(f"postgresql://me@127.0.0.1:{port}/fleet") as database:
            started = time.monotonic()
            with pytest.raises(StoreError, match=r"did not answer within 0\.3 s"):
                await database.migrate()
            assert time.monotonic() - started < 2


@pytest.mark.anyio
async def test_the_end_waits_for_no_answer_of_a_server_that_hangs(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one(connection: AsyncConnection) -> int:
        return int((await connection.execute(text("SELECT 1"))).scalar_one())

    parts = urlsplit(postgresql)
    async with LateServer(parts.hostname or "", parts.port or 5432).running() as server:
        url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{server.port}").geturl()
        async with open_postgresql(url) as database:
            assert await database.read(one) == 1
            server.answers.clear()
            monkeypatch.setattr(database_module, "DEADLINE_SECONDS", 0.5)
            with pytest.raises(StoreError, match=r"did not answer within 0\.5 s"):
                await database.read(one)
            (waiting,) = database._running
        with pytest.raises(SQLAlchemyError):
            # Were it not over, the end of the process would cancel it: psycopg takes ten seconds for that.
            waiting.result()


@pytest.mark.anyio
async def test_connections_that_the_server_ended_are_replaced(postgresql: str) -> None:
    async def one(connection: AsyncConnection) -> int:
        return int((await connection.execute(text("SELECT 1"))).scalar_one())

    async with open_postgresql(postgresql) as database:
        assert await database.read(one) == 1
        name = postgresql.rpartition("/")[2]
        with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
        assert await database.read(one) == 1


@pytest.mark.anyio
async def test_statements_end_at_the_server_too(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 0.2)
    async with open_postgresql(postgresql) as database:
        with pytest.raises(StoreError, match="statement timeout"):
            await database.read(lambda connection: connection.execute(text("SELECT pg_sleep(5)")))


@pytest.mark.anyio
async def test_reading_sees_one_state_and_changes_nothing(postgresql: str) -> None:
    async with open_postgresql(postgresql) as database:
        await database.migrate()
        change = text("UPDATE tenants SET name = name || '!'")

        async def names(connection: AsyncConnection) -> list[str]:
            seen = []
            for _ in range(2):
                seen.append((await connection.execute(text("SELECT name FROM tenants"))).scalar_one())
                await database.write(lambda writing: writing.execute(change))
            return seen

        assert await database.read(names) == ["Default", "Default"]
        assert await database.read(names) == ["Default!!", "Default!!"]
        with pytest.raises(StoreError, match="read-only"):
            await database.read(lambda connection: connection.execute(change))
        await database.write(lambda connection: connection.execute(change))
