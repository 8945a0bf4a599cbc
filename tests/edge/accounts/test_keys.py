import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.accounts import Key, KeyEnded, KeyOrder, Keyring, KeyService, Limits, NoSuchKey, NoSuchTenant, Scope
from edge.accounts.key import digest
from edge.store import Database, KeyStore, TenantRow, TenantStore, database_file, open_sqlite

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)
ORDER = KeyOrder("ci", frozenset({Scope.SUPERADMIN, Scope.INFERENCE}))
FULL = replace(
    ORDER,
    tenant_id="other",
    models=frozenset({"a", "b/c"}),
    regions=frozenset({"yto-01"}),
    limits=Limits(1, 2, 3),
    expires_at=NOW + timedelta(days=2),
)


def service(database: Database, now: datetime = NOW) -> KeyService:
    return KeyService(KeyStore(database), TenantStore(database), now=lambda: now)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Database]:
    async with open_sqlite(database_file(home)) as database:
        await TenantStore(database).add(TenantRow("other", "Other", "prepaid", "2026-01-01T00:00:00Z"))
        yield database


async def listed(keys: KeyService, tenant_id: str | None = None) -> list[Key]:
    return [key async for key in keys.all(tenant_id=tenant_id)]


@pytest.mark.anyio
async def test_new_key_is_shown_once_and_kept_as_its_digest(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        new = await service(database).create(ORDER)
        assert re.fullmatch(r"pg_[A-Za-z0-9_-]{43}", new.raw)
        assert new.raw not in repr(new.key)
        ((row, _tenant),) = await KeyStore(database).page(limit=9)
        assert row.sha256 == hashlib.sha256(new.raw.encode()).hexdigest()
        assert (row.id, row.name, row.scopes) == (new.key.id, "ci", "inference superadmin")
        assert (row.created_at, row.revoked_at) == ("2026-01-02T03:04:05Z", None)
        assert new.raw not in repr(row)


@pytest.mark.anyio
@pytest.mark.parametrize("order", [ORDER, FULL])
async def test_a_key_is_found_as_it_was_ordered(tmp_path: Path, order: KeyOrder) -> None:
    async with opened(tmp_path) as database:
        new = await service(database).create(order)
        found = await Keyring(KeyStore(database), cache_seconds=0).find(new.raw)
        assert found == new.key == await service(database).get(new.key.id)
        wanted = asdict(order) | {"expires_at": order.expires_at and "2026-01-04T03:04:05Z"}
        assert {name: value for name, value in asdict(found).items() if name in wanted} == {
            name: value for name, value in wanted.items() if name != "tenant_id"
        }
        assert found.tenant_id == order.tenant_id


@pytest.mark.anyio
async def test_no_two_keys_are_alike(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        made = [await service(database).create(ORDER) for _ in range(100)]
    assert len({new.raw for new in made}) == len({new.key.id for new in made}) == 100


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.anyio
async def test_raw_key_is_in_no_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        new = await service(database).create(ORDER)
        rotated = await service(database).rotate(new.key.id)
        await service(database).revoke(new.key.id)
        files = contents(tmp_path)
    files["closed"] = database_file(tmp_path).read_bytes()
    assert len(files["nearedge.db-wal"]) > 1000
    for content in files.values():
        for raw in (new.raw, rotated.raw):
            assert raw[3:].encode() not in content
    assert digest(new.raw).encode() in files["closed"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("order", "error"),
    [
        (replace(ORDER, tenant_id="nobody"), NoSuchTenant),
        (replace(ORDER, name=" "), ValueError),
        (replace(ORDER, name="x" * 201), ValueError),
        (replace(ORDER, expires_at=NOW), ValueError),
    ],
)
async def test_a_key_that_cannot_be_is_not_made(
    tmp_path: Path, order: KeyOrder, error: type[Exception]
) -> None:
    async with opened(tmp_path) as database:
        with pytest.raises(error):
            await service(database).create(order)
        assert await listed(service(database)) == []


@pytest.mark.anyio
async def test_rotation_makes_the_same_key_with_another_text_and_ends_the_old_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        old = await service(database).create(FULL)
        later = NOW + timedelta(hours=1)
        new = await service(database, later).rotate(old.key.id, overlap=timedelta(minutes=30))
        assert new.raw != old.raw
        assert new.key == replace(
            old.key, id=new.key.id, created_at="2026-01-02T04:04:05Z", rotated_from=old.key.id
        )
        keyring = Keyring(KeyStore(database), cache_seconds=0)
        for raw, minutes, active in [(old.raw, 29, True), (old.raw, 30, False), (new.raw, 30, True)]:
            found = await keyring.find(raw)
            assert found is not None
            assert found.active(later + timedelta(minutes=minutes)) is active


@pytest.mark.anyio
async def test_what_has_ended_is_not_rotated(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        revoked, expiring = [await service(database).create(order) for order in (ORDER, FULL)]
        await service(database).revoke(revoked.key.id)
        for key, now in [(revoked.key, NOW), (expiring.key, NOW + timedelta(days=2))]:
            with pytest.raises(KeyEnded):
                await service(database, now).rotate(key.id)
        with pytest.raises(NoSuchKey):
            await service(database).rotate("key_0")
        for overlap in (timedelta(seconds=-1), timedelta(days=91)):
            with pytest.raises(ValueError, match="overlap"):
                await service(database).rotate(expiring.key.id, overlap=overlap)
        assert len(await listed(service(database))) == 2


@pytest.mark.anyio
async def test_a_tenants_keys_are_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        keys = service(database)
        mine, theirs = [(await keys.create(order)).key for order in (ORDER, FULL)]
        assert await listed(keys) == sorted([mine, theirs], key=lambda key: key.id)
        assert await listed(keys, "other") == [theirs]
        for call in (keys.get, keys.rotate):
            with pytest.raises(NoSuchKey):
                await call(mine.id, tenant_id="other")
        assert not await keys.revoke(mine.id, tenant_id="other")
        assert await listed(keys, "default") == [mine]


@pytest.mark.anyio
async def test_all_pages_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.accounts.keys.PAGE", 2)
    async with opened(tmp_path) as database:
        made = {(await service(database).create(ORDER)).key.id for _ in range(5)}
        assert {key.id for key in await listed(service(database))} == made
