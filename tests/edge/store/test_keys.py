from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge.store import KeyRow, KeyStore, StoreError, database_file, open_database

ROW = KeyRow("key_1", "name", "inference superadmin", "2026-01-01T00:00:00Z", None)


@asynccontextmanager
async def store(home: Path) -> AsyncIterator[KeyStore]:
    async with open_database(database_file(home)) as database:
        yield KeyStore(database)


@pytest.mark.anyio
async def test_stored_key_is_found_by_its_digest_alone(tmp_path: Path) -> None:
    async with store(tmp_path) as keys:
        await keys.add(ROW, "d1")
        assert await keys.find("d1") == ROW
        for other in ("d", "D1", "key_1", "", "d1' OR '1'='1"):
            assert await keys.find(other) is None


@pytest.mark.anyio
async def test_keys_outlive_the_process_and_are_listed_oldest_first(tmp_path: Path) -> None:
    younger = replace(ROW, id="key_0", created_at="2026-02-01T00:00:00Z", name="'); DROP TABLE keys; --")
    async with store(tmp_path) as keys:
        await keys.add(younger, "d2")
        await keys.add(ROW, "d1")
    async with store(tmp_path) as keys:
        assert await keys.all() == [ROW, younger]


@pytest.mark.anyio
async def test_key_is_revoked_once_and_stays_in_the_list(tmp_path: Path) -> None:
    async with store(tmp_path) as keys:
        await keys.add(ROW, "d1")
        assert await keys.revoke("key_1", "2026-03-01T00:00:00Z")
        assert not await keys.revoke("key_1", "2026-04-01T00:00:00Z")
        assert not await keys.revoke("key_2", "2026-04-01T00:00:00Z")
        assert await keys.find("d1") == replace(ROW, revoked_at="2026-03-01T00:00:00Z")
        assert [row.revoked_at for row in await keys.all()] == ["2026-03-01T00:00:00Z"]


@pytest.mark.anyio
@pytest.mark.parametrize("second", [(replace(ROW, id="key_2"), "d1"), (ROW, "d2")])
async def test_neither_id_nor_digest_is_given_twice(tmp_path: Path, second: tuple[KeyRow, str]) -> None:
    async with store(tmp_path) as keys:
        await keys.add(ROW, "d1")
        with pytest.raises(StoreError, match="UNIQUE"):
            await keys.add(*second)
        assert await keys.all() == [ROW]
