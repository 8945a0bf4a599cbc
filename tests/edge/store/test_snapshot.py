from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edge.store import KeyRow, KeyStore, Snapshot, SnapshotStore, Stores, TenantRow, TenantStore, open_stores
from edge.store import snapshot as module

ROW = KeyRow("key_1", "acme", "name", "d1", "inference", "2026-01-01T00:00:00Z")
ACME = TenantRow("acme", "Acme", "prepaid", "2026-01-01T00:00:00Z", 1)


@dataclass
class Edge:
    stores: Stores
    told: list[set[str] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.snapshots = SnapshotStore(self.stores)
        self.fleet, self.local = KeyStore(self.stores.fleet), KeyStore(self.stores.local)

    def changed(self, digests: Iterable[str] | None) -> None:
        self.told.append(set(digests) if digests is not None else None)


@asynccontextmanager
async def edge(home: Path, url: str) -> AsyncIterator[Edge]:
    async with open_stores(home, url) as stores:
        made = Edge(stores)
        await made.snapshots.prepare()
        yield made


@pytest.mark.anyio
async def test_what_has_changed_is_copied_and_told(tmp_path: Path, postgresql: str) -> None:
    async with edge(tmp_path, postgresql) as at:
        await TenantStore(at.stores.fleet).add(ACME)
        await at.fleet.add(ROW)
        source, version = await at.snapshots.current()
        assert await at.snapshots.held() is None
        assert await at.snapshots.begin(source, version) == Snapshot(source, 0, None)
        await at.snapshots.copy(0, at.changed)
        assert await at.local.find("d1") == (ROW, ACME)
        assert at.told == [None, {"d1"}]

        await at.fleet.add(replace(ROW, id="key_2", sha256="d2"))
        await at.fleet.revoke("key_1", "2026-02-01T00:00:00Z")
        await at.snapshots.copy(version, at.changed)
        assert at.told[2:] == [{"d1", "d2"}]
        found = await at.local.find("d1")
        assert found is not None
        assert found[0].revoked_at == "2026-02-01T00:00:00Z"


@pytest.mark.anyio
async def test_pages_follow_each_other(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    async with edge(tmp_path, postgresql) as at:
        for number in range(5):
            await at.fleet.add(replace(ROW, tenant_id="default", id=f"k{number}", sha256=f"d{number}"))
        await at.snapshots.begin("source", 9)
        await at.snapshots.copy(0, at.changed)
        assert at.told == [None, {"d0", "d1"}, {"d2", "d3"}, {"d4"}]
        assert len(await at.local.page(limit=9)) == 5


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("source", "version", "emptied"),
    [("one", 7, False), ("one", 8, False), ("one", 6, True), ("two", 9, True)],
)
async def test_a_copy_of_another_database_or_of_a_later_state_does_not_count(
    tmp_path: Path, postgresql: str, source: str, version: int, emptied: bool
) -> None:
    async with edge(tmp_path, postgresql) as at:
        await at.fleet.add(replace(ROW, tenant_id="default"))
        await at.snapshots.begin("one", 7)
        await at.snapshots.copy(0, at.changed)
        held = Snapshot("one", 7, "2026-01-01T00:00:00Z")
        await at.snapshots.hold(held)
        begun = await at.snapshots.begin(source, version)
        assert begun == (Snapshot(source, 0, None) if emptied else held) == await at.snapshots.held()
        assert (await at.local.find("d1") is None) is emptied


@pytest.mark.anyio
async def test_keys_of_a_node_alone_outlive_its_time_in_a_fleet(tmp_path: Path, postgresql: str) -> None:
    async with open_stores(tmp_path, None) as stores:
        assert not stores.in_fleet
        await KeyStore(stores.fleet).add(replace(ROW, tenant_id="default"))
    async with edge(tmp_path, postgresql) as at:
        assert at.stores.in_fleet
        assert await at.local.find("d1") is None
    async with open_stores(tmp_path, None) as stores:
        assert await KeyStore(stores.local).find("d1") is not None
