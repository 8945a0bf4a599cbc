"""Edges of one fleet, each with its own file, on a real PostgreSQL."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from edge.accounts import KeyOrder, Scope, open_registry
from edge.accounts.accounts import Accounts, open_accounts
from edge.accounts.jwks import KeysUnavailable
from edge.settings import EdgeSettings
from edge.store import NewerDatabase, StoreError, open_stores
from tests.edge.accounts.issuer import ISSUER, PUBLISHED, served, token
from tests.edge.store.databases import SERVER

ORDER = KeyOrder("x", frozenset({Scope.INFERENCE}))
POLL_SECONDS = 0.1
UNREACHABLE = "postgresql://me@127.0.0.1:1/fleet"


@asynccontextmanager
async def edge(home: Path, url: str | None, **settings: Any) -> AsyncIterator[Accounts]:
    chosen = EdgeSettings(
        home=home,
        database_url=SecretStr(url) if url else None,
        edge_fleet_poll_seconds=POLL_SECONDS,
        **{"edge_key_cache_seconds": 30.0} | settings,
    )
    async with open_stores(home, url) as stores, open_accounts(stores, chosen) as accounts:
        yield accounts


async def within(seconds: float, holds: Callable[[], Awaitable[bool]]) -> None:
    started = time.monotonic()
    while not await holds():
        assert time.monotonic() - started < seconds
        await anyio.sleep(0.02)


async def knows(accounts: Accounts, raw: str) -> bool:
    return await accounts.keyring.find(raw) is not None


@pytest.mark.anyio
async def test_what_changes_at_one_edge_counts_there_at_once_and_at_others_soon(
    tmp_path: Path, postgresql: str
) -> None:
    async with edge(tmp_path / "one", postgresql) as one, edge(tmp_path / "two", postgresql) as two:
        new = await one.keys.create(ORDER)
        assert not await knows(two, new.raw)  # and it remembers that for longer than this test takes
        await one.changed()
        assert await knows(one, new.raw)
        await within(2, lambda: knows(two, new.raw))

        await one.keys.revoke(new.key.id)
        await one.changed()
        assert not await knows(one, new.raw)

        async def forgot() -> bool:
            return not await knows(two, new.raw)

        await within(2, forgot)


@pytest.mark.anyio
async def test_what_changes_about_a_tenant_counts_for_its_keys(tmp_path: Path, postgresql: str) -> None:
    async with open_registry(tmp_path, postgresql) as command, edge(tmp_path / "one", postgresql) as one:
        new = await command.keys.create(ORDER)

        async def limit() -> int | None:
            key = await one.keyring.find(new.raw)
            return key.tenant.limits.requests_per_minute if key is not None else None

        one.keyring.forget()
        await within(2, lambda: knows(one, new.raw))
        assert await limit() is None
        await command.tenants.update("default", limits={"requests_per_minute": 7})

        async def limited() -> bool:
            return await limit() == 7

        await within(2, limited)


@pytest.mark.anyio
async def test_known_keys_are_served_without_the_fleet_also_after_a_restart(
    tmp_path: Path, postgresql: str
) -> None:
    async with edge(tmp_path, postgresql) as accounts:
        new = await accounts.keys.create(ORDER)
        await accounts.changed()
    async with edge(tmp_path, UNREACHABLE) as accounts:
        assert await knows(accounts, new.raw)
        assert not await knows(accounts, "pg_unknown")  # the fleet was heard of a moment ago
        with pytest.raises(StoreError, match="refused"):
            await accounts.keys.create(ORDER)
    async with edge(tmp_path, UNREACHABLE, edge_fleet_stale_seconds=0.0) as accounts:
        for raw in (new.raw, "pg_unknown"):
            with pytest.raises(StoreError, match="last heard of"):
                await accounts.keyring.find(raw)


@pytest.mark.anyio
async def test_an_edge_that_never_reached_its_fleet_starts_and_calls_no_key_bad(tmp_path: Path) -> None:
    async with edge(tmp_path, UNREACHABLE) as accounts:
        with pytest.raises(StoreError, match="not been copied"):
            await accounts.keyring.find("pg_unknown")


@pytest.mark.anyio
async def test_an_edge_finds_its_fleet_once_that_is_there(tmp_path: Path, postgresql: str) -> None:
    name = postgresql.rpartition("/")[2]
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name}")
        async with edge(tmp_path, postgresql) as accounts:
            with pytest.raises(StoreError, match="not been copied"):
                await accounts.keyring.find("pg_unknown")
            admin.execute(f"CREATE DATABASE {name}")

            async def certain() -> bool:
                try:
                    return not await knows(accounts, "pg_unknown")
                except StoreError:
                    return False

            await within(10, certain)
            new = await accounts.keys.create(ORDER)
            await accounts.changed()
            assert await knows(accounts, new.raw)


@pytest.mark.anyio
async def test_a_fleet_of_a_newer_version_stops_the_start(tmp_path: Path, postgresql: str) -> None:
    async with edge(tmp_path, postgresql):
        pass
    async with open_stores(tmp_path, postgresql) as stores:
        change = text("UPDATE alembic_version SET version_num = '9999'")
        await stores.fleet.write(lambda connection: connection.execute(change))
    with pytest.raises(NewerDatabase, match="9999"):
        async with edge(tmp_path, postgresql):
            pytest.fail("it started")


@pytest.mark.anyio
async def test_another_fleets_keys_do_not_count(tmp_path: Path, postgresql: str) -> None:
    from tests.edge.store.databases import postgresql_database

    async with edge(tmp_path, postgresql) as accounts:
        new = await accounts.keys.create(ORDER)
        await accounts.changed()
    with postgresql_database() as other:
        async with edge(tmp_path, other) as accounts:
            assert not await knows(accounts, new.raw)


@pytest.mark.anyio
async def test_a_node_alone_follows_nothing(tmp_path: Path) -> None:
    async with edge(tmp_path, None) as accounts:
        assert accounts.follower is None
        new = await accounts.keys.create(ORDER)
        assert await knows(accounts, new.raw)
        await accounts.keys.revoke(new.key.id)
        assert await knows(accounts, new.raw)  # in memory, for the cache time
        await accounts.changed()
        assert not await knows(accounts, new.raw)


@pytest.mark.anyio
@pytest.mark.parametrize("by_url", [True, False])
async def test_the_keys_of_an_issuer_who_is_away_are_known_after_a_restart_if_they_were_fetched(
    tmp_path: Path, by_url: bool
) -> None:
    file = anyio.Path(tmp_path / "keys.json")
    await file.write_bytes(PUBLISHED)

    async def opens(source: str) -> bool:
        async with edge(tmp_path / "home", None, jwt_issuer=ISSUER, jwt_jwks=source) as accounts:
            assert accounts.sessions is not None
            try:
                return (await accounts.sessions.find(token())).tenant_id == "default"
            except KeysUnavailable:
                return False

    with served(200, PUBLISHED) as url:
        source = url if by_url else str(file)
        assert await opens(source)
    await file.unlink()
    assert await opens(source) == by_url
