from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from structlog.testing import capture_logs

from edge.accounts.follower import NOTED_EVERY, Follower
from edge.accounts.freshness import Freshness
from edge.store import NewerDatabase, Snapshot, SnapshotStore, StoreError

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Memory(SnapshotStore):
    """A fleet and a copy of it, in memory."""

    fleet: tuple[str, int] = ("one", 3)
    kept: Snapshot | None = None
    copied_after: list[int] = field(default_factory=list)
    error: StoreError | None = None
    notes: int = 0
    prepared: int = 0

    async def prepare(self) -> None:
        self.prepared += 1
        if self.error is not None:
            raise self.error

    async def held(self) -> Snapshot | None:
        return self.kept

    async def current(self) -> tuple[str, int]:
        if self.error is not None:
            raise self.error
        return self.fleet

    async def begin(self, source: str, version: int) -> Snapshot:
        self.kept = Snapshot(source, 0, None)
        return self.kept

    async def hold(self, snapshot: Snapshot) -> None:
        self.notes += 1
        self.kept = snapshot

    async def copy(self, after: int, changed: Callable[[Iterable[str] | None], None]) -> None:
        self.copied_after.append(after)
        changed(["digest"])


class Bench:
    def __init__(self) -> None:
        self.store = Memory()
        self.now = START
        self.forgotten: list[list[str] | None] = []
        self.freshness = Freshness(stale_seconds=100, doubt_seconds=10, now=lambda: self.now)
        self.follower = Follower(
            self.store, self.freshness, self.forget, poll_seconds=0.01, now=lambda: self.now
        )

    def forget(self, digests: Iterable[str] | None) -> None:
        self.forgotten.append(list(digests) if digests is not None else None)


@pytest.mark.anyio
async def test_only_what_has_changed_is_copied() -> None:
    bench = Bench()
    await bench.follower.start()
    assert bench.store.kept == Snapshot("one", 3, "2026-01-01T00:00:00Z")
    for version in (3, 5, 5):
        bench.store.fleet = ("one", version)
        await bench.follower.catch_up()
    assert bench.store.copied_after == [0, 3]
    assert bench.forgotten == [None, ["digest"], ["digest"]]
    assert bench.store.prepared == 1


@pytest.mark.anyio
@pytest.mark.parametrize("fleet", [("two", 9), ("one", 2)])
async def test_another_database_is_copied_anew(fleet: tuple[str, int]) -> None:
    bench = Bench()
    await bench.follower.start()
    bench.store.fleet = fleet
    await bench.follower.catch_up()
    assert bench.store.copied_after == [0, 0]
    assert bench.forgotten[2:] == [None, ["digest"]]


@pytest.mark.anyio
async def test_that_nothing_has_changed_is_noted_now_and_then() -> None:
    bench = Bench()
    await bench.follower.start()
    for seconds, notes in [(1, 1), (59, 1), (60, 2), (61, 2), (120, 3)]:
        bench.now = START + timedelta(seconds=seconds)
        await bench.follower.catch_up()
        assert bench.store.notes == notes
        assert bench.freshness.confirmed_at == bench.now
    assert timedelta(seconds=60) == NOTED_EVERY


@pytest.mark.anyio
async def test_a_copy_from_before_a_restart_is_as_old_as_it_is() -> None:
    bench = Bench()
    bench.store.kept = Snapshot("one", 3, "2025-12-31T23:59:00Z")
    bench.store.error = StoreError("down")
    await bench.follower.start()
    assert bench.freshness.confirmed_at == START - timedelta(minutes=1)


@pytest.mark.anyio
async def test_a_copy_that_breaks_off_is_not_believed() -> None:
    class Torn(Memory):
        async def copy(self, after: int, changed: Callable[[Iterable[str] | None], None]) -> None:
            raise StoreError("down")

    bench = Bench()
    bench.store = Torn()
    bench.follower = Follower(bench.store, bench.freshness, bench.forget, poll_seconds=1)
    await bench.follower.start()
    assert bench.freshness.confirmed_at is None
    assert bench.store.kept == Snapshot("one", 0, None)


@pytest.mark.anyio
async def test_a_fleet_that_goes_and_comes_is_told_of_once_each() -> None:
    bench = Bench()
    with capture_logs() as lines:
        await bench.follower.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.follower.run)
            await anyio.sleep(0.05)
            for error in (StoreError("down"), NewerDatabase("newer")):
                bench.store.error = error
                await anyio.sleep(0.1)
                bench.store.error = None
                await anyio.sleep(0.1)
            tasks.cancel_scope.cancel()
    told = [(line["log_level"], line.get("error")) for line in lines]
    reached = ("info", None)
    assert told == [reached, ("warning", "down"), reached, ("warning", "newer"), reached]


@pytest.mark.anyio
async def test_a_newer_database_stops_the_start() -> None:
    bench = Bench()
    bench.store.error = NewerDatabase("its schema is newer")
    with pytest.raises(NewerDatabase):
        await bench.follower.start()
