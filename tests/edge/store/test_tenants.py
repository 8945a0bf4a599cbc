from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from edge.store import KeyRow, KeyStore, SnapshotStore, Stores, TenantRow, TenantStore
from tests.edge.store.databases import Place

ROW = TenantRow("acme", "Acme", "prepaid", "2026-01-01T00:00:00Z", 1, 2, 3)


@pytest.mark.anyio
async def test_the_default_tenant_is_always_there_and_unmetered(place: Place) -> None:
    async with place.open() as database:
        (row,) = await TenantStore(database).page(after=None, limit=9)
    assert (row.id, row.billing, row.requests_per_minute) == ("default", "unmetered", None)


@pytest.mark.anyio
async def test_a_tenant_is_added_once_found_and_changed(place: Place) -> None:
    async with place.open() as database:
        tenants = TenantStore(database)
        assert await tenants.add(ROW)
        assert not await tenants.add(replace(ROW, name="other"))
        assert await tenants.find("acme") == ROW
        assert await tenants.find("Acme") is None
        changed = replace(ROW, name="Acme Inc", tokens_per_minute=None)
        assert await tenants.update("acme", {"name": "Acme Inc", "tokens_per_minute": None}) == changed
        assert await tenants.find("acme") == changed
        assert await tenants.update("nobody", {"name": "x"}) is None


@pytest.mark.anyio
async def test_pages_are_in_the_order_of_ids(place: Place) -> None:
    async with place.open() as database:
        tenants = TenantStore(database)
        for name in ("c", "a", "b"):
            await tenants.add(replace(ROW, id=name))
        assert [row.id for row in await tenants.page(after=None, limit=2)] == ["a", "b"]
        assert [row.id for row in await tenants.page(after="b", limit=9)] == ["c", "default"]


@pytest.mark.anyio
async def test_versions_are_committed_in_their_order(place: Place) -> None:
    async with place.open() as database:
        keys = KeyStore(database)

        async def add(number: int) -> None:
            row = KeyRow(f"k{number}", "default", "n", f"d{number}", "read", "2026-01-01T00:00:00Z")
            await keys.add(row)

        seen: list[int] = []

        async def watch() -> None:
            while True:
                _, version = await SnapshotStore(Stores(database, database)).current()
                seen.append(version - len(await keys.page(limit=99)))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            async with anyio.create_task_group() as adding:
                for number in range(12):
                    adding.start_soon(add, number)
            tasks.cancel_scope.cancel()
        _, version = await SnapshotStore(Stores(database, database)).current()
        assert version == 1 + len(await keys.page(limit=99)) == 13
        assert max(seen) <= 1  # no version is seen before what it stands for
