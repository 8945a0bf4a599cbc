from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from edge.store import Database, KeyRow, KeyStore, StoreError, TenantRow, TenantStore
from tests.edge.store.databases import Place

ROW = KeyRow("key_1", "default", "name", "d1", "inference superadmin", "2026-01-01T00:00:00Z")
ALL = replace(
    ROW,
    models="a b/c",
    regions="yto-01",
    requests_per_minute=1,
    tokens_per_minute=2,
    concurrent_requests=3,
    expires_at="2027-01-01T00:00:00Z",
    rotated_from="key_0",
)


@asynccontextmanager
async def store(place: Place) -> AsyncIterator[KeyStore]:
    async with place.open() as database:
        yield KeyStore(database)


async def version(database: Database) -> int:
    from sqlalchemy import text

    statement = text("SELECT value FROM versions WHERE name = 'accounts'")
    return int((await database.read(lambda connection: connection.execute(statement))).scalar_one())


async def rows(keys: KeyStore) -> list[KeyRow]:
    return [row for row, _tenant in await keys.page(limit=100)]


@pytest.mark.anyio
@pytest.mark.parametrize("row", [ROW, ALL])
async def test_stored_key_is_found_by_its_digest_alone_and_comes_with_its_tenant(
    place: Place, row: KeyRow
) -> None:
    async with store(place) as keys:
        await keys.add(row)
        found = await keys.find("d1")
        assert found is not None
        assert found[0] == row
        assert found[1] == TenantRow("default", "Default", "unmetered", found[1].created_at)
        for other in ("d", "D1", "key_1", "", "d1' OR '1'='1"):
            assert await keys.find(other) is None


@pytest.mark.anyio
async def test_keys_outlive_the_process_and_are_listed_oldest_first(place: Place) -> None:
    younger = replace(
        ROW, id="key_0", sha256="d2", created_at="2026-02-01T00:00:00Z", name="'); DROP TABLE keys; --"
    )
    async with store(place) as keys:
        await keys.add(younger)
        await keys.add(ROW)
    async with store(place) as keys:
        assert await rows(keys) == [ROW, younger]


@pytest.mark.anyio
async def test_pages_follow_each_other_without_gap_or_repeat(place: Place) -> None:
    made = [
        replace(
            ROW, id=f"key_{number}", sha256=f"d{number}", created_at=f"2026-01-0{1 + number // 3}T00:00:00Z"
        )
        for number in range(7)
    ]
    async with place.open() as database:
        keys = KeyStore(database)
        await TenantStore(database).add(TenantRow("other", "Other", "prepaid", "2026-01-01T00:00:00Z"))
        for row in reversed(made):
            await keys.add(row)
        await keys.add(replace(ROW, id="key_9", sha256="d9", tenant_id="other"))
        listed: list[KeyRow] = []
        after = None
        while page := await keys.page(tenant_id="default", after=after, limit=3):
            listed += [row for row, _tenant in page]
            after = (listed[-1].created_at, listed[-1].id)
        assert listed == made
        assert [row.id for row, _ in await keys.page(tenant_id="other", limit=9)] == ["key_9"]


@pytest.mark.anyio
async def test_key_is_revoked_once_and_stays_in_the_list(place: Place) -> None:
    async with store(place) as keys:
        await keys.add(ROW)
        assert await keys.revoke("key_1", "2026-03-01T00:00:00Z")
        assert not await keys.revoke("key_1", "2026-04-01T00:00:00Z")
        assert not await keys.revoke("key_2", "2026-04-01T00:00:00Z")
        assert await rows(keys) == [replace(ROW, revoked_at="2026-03-01T00:00:00Z")]


@pytest.mark.anyio
async def test_another_tenants_key_is_neither_found_nor_revoked(place: Place) -> None:
    async with store(place) as keys:
        await keys.add(ROW)
        assert await keys.get("key_1", tenant_id="other") is None
        assert not await keys.revoke("key_1", "2026-03-01T00:00:00Z", tenant_id="other")
        assert await keys.get("key_1", tenant_id="default") is not None
        assert await keys.revoke("key_1", "2026-03-01T00:00:00Z", tenant_id="default")


@pytest.mark.anyio
@pytest.mark.parametrize("second", [replace(ROW, id="key_2"), replace(ROW, sha256="d2")])
async def test_neither_id_nor_digest_is_given_twice(place: Place, second: KeyRow) -> None:
    async with store(place) as keys:
        await keys.add(ROW)
        with pytest.raises(StoreError, match=r"(?i)unique"):
            await keys.add(second)
        assert await rows(keys) == [ROW]


@pytest.mark.anyio
async def test_a_key_needs_a_tenant(place: Place) -> None:
    async with store(place) as keys:
        with pytest.raises(StoreError, match=r"(?i)foreign key"):
            await keys.add(replace(ROW, tenant_id="nobody"))
        assert await rows(keys) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("expires_at", "until", "ends"),
    [
        (None, "2026-02-02T00:00:00Z", "2026-02-02T00:00:00Z"),
        ("2026-02-01T12:00:00Z", "2026-02-02T00:00:00Z", "2026-02-01T12:00:00Z"),
        ("2027-01-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-02-02T00:00:00Z"),
    ],
)
async def test_a_replaced_key_ends_after_the_overlap_or_before(
    place: Place, expires_at: str | None, until: str, ends: str
) -> None:
    old, new = (
        replace(ROW, expires_at=expires_at),
        replace(ROW, id="key_2", sha256="d2", rotated_from="key_1"),
    )
    async with store(place) as keys:
        await keys.add(old)
        assert await keys.replace("key_1", new, until=until, at="2026-02-01T00:00:00Z")
        assert await rows(keys) == [replace(old, expires_at=ends), new]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "ended", [{"revoked_at": "2026-01-02T00:00:00Z"}, {"expires_at": "2026-02-01T00:00:00Z"}]
)
async def test_a_key_that_has_ended_is_not_replaced(place: Place, ended: dict[str, Any]) -> None:
    old = replace(ROW, **ended)
    async with store(place) as keys:
        await keys.add(old)
        new = replace(ROW, id="key_2", sha256="d2")
        until = {"until": "2026-02-02T00:00:00Z", "at": "2026-02-01T00:00:00Z"}
        assert not await keys.replace("key_1", new, **until)
        assert not await keys.replace("key_0", new, **until)
        assert await rows(keys) == [old]


@pytest.mark.anyio
async def test_every_change_takes_a_version(place: Place) -> None:
    async with place.open() as database:
        keys = KeyStore(database)
        seen = [await version(database)]
        await keys.add(ROW)
        seen.append(await version(database))
        new = replace(ROW, id="key_2", sha256="d2")
        await keys.replace("key_1", new, until="2027-01-01T00:00:00Z", at="2026-02-01T00:00:00Z")
        seen.append(await version(database))
        await keys.revoke("key_2", "2026-03-01T00:00:00Z")
        seen.append(await version(database))
        await TenantStore(database).update("default", {"name": "x"})
        seen.append(await version(database))
    assert seen == sorted(set(seen))
