import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.store import MOST_TOGETHER, Cut, HeldLeases, LeaseRow, OutboxStore, database_file, open_sqlite
from tests.edge.store.lease_steps import LATER, NOW, SOON
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio

LEASE = LeaseRow("lease_1", "default", "here", 100, 0, 0, NOW, SOON)


async def test_leases_held_are_there_after_a_restart_with_what_calls_left_of_them(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle([usage_event(lease_id="lease_1", charged_micro=7) for _ in range(3)])
        await held.keep([replace(LEASE, granted_micro=250, moves=1, expires_at=LATER)])
    async with open_sqlite(database_file(tmp_path)) as database:
        held = HeldLeases(database)
        kept = LeaseRow("lease_1", "default", "here", 250, 21, 0, NOW, LATER, moves=1)
        assert await held.of("here") == [kept]
        assert await held.of("there") == []
        await held.drop(["lease_1"])
        assert await held.of("here") == []


async def test_many_are_read_in_time_though_many_events_wait(tmp_path: Path) -> None:
    leases = [replace(LEASE, id=f"lease_{number}") for number in range(1_500)]
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep(leases)
        ids = [lease.id for lease in leases] * 30
        for start in range(0, len(ids), MOST_TOGETHER):
            some = ids[start : start + MOST_TOGETHER]
            await outbox.settle([usage_event(lease_id=one, charged_micro=1) for one in some])
        started = time.monotonic()
        found = await held.of("here")
    assert {lease.settled_micro for lease in found} == {30}
    assert len(found) == 1_500
    assert time.monotonic() - started < 1


async def test_an_older_state_changes_nothing(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        held = HeldLeases(database)
        newer = replace(LEASE, granted_micro=60, moves=2)
        await held.keep([newer])
        await held.keep([LEASE, replace(LEASE, granted_micro=90, moves=2)])
        assert await held.of("here") == [newer]


async def test_leases_are_lowered_and_put_off(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        held = HeldLeases(database)
        await held.keep([LEASE])
        await held.lower([Cut("lease_1", "default", 0, 40)])
        await held.lower([Cut("lease_1", "default", 0, 70)])
        await held.put_off(["lease_1"], LATER)
        assert await held.of("here") == [replace(LEASE, granted_micro=40, expires_at=LATER)]


async def test_what_was_settled_is_corrected_only_when_every_event_was_sent(tmp_path: Path) -> None:
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        event = usage_event(lease_id="lease_1", charged_micro=40)
        await outbox.settle([event])
        assert await held.settled("lease_1") is None
        assert not await held.correct("lease_1", settled_micro=40, known_micro=0)
        await outbox.forget([event])
        assert await held.settled("lease_1") == 40
        assert not await held.correct("lease_1", settled_micro=30, known_micro=0)
        assert await held.correct("lease_1", settled_micro=40, known_micro=10)
        assert await held.settled("lease_1") == 10
