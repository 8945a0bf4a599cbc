from pathlib import Path

import pytest

from edge.store import (
    MOST_TOGETHER,
    HeldLeases,
    LeaseRow,
    OutboxStore,
    StoreError,
    UsageStore,
    database_file,
    open_sqlite,
)
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio

LEASE = LeaseRow("lease_1", "default", "here", 100, 0, 0, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")


async def test_events_come_out_as_they_went_in(tmp_path: Path) -> None:
    events = [usage_event(total_ms=number / 3) for number in range(5)]
    async with open_sqlite(database_file(tmp_path)) as database:
        outbox = OutboxStore(database)
        assert await outbox.oldest(10) == []
        await outbox.settle(events[:2])
        await outbox.settle(events[2:])
        assert await outbox.oldest(3) == events[:3]
        await outbox.forget(events[:3])
        assert await outbox.oldest(10) == events[3:]
        assert await outbox.size() == 2


async def test_an_event_and_its_charge_are_there_together_or_not_at_all(tmp_path: Path) -> None:
    event = usage_event(lease_id="lease_1", charged_micro=40)
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle([event])
        with pytest.raises(StoreError):
            await outbox.settle([usage_event(lease_id="lease_1", charged_micro=40), event])
        (lease,) = await held.of("here")
        assert lease.settled_micro == 40
        assert await outbox.oldest(10) == [event]


async def test_what_was_charged_stays_taken_from_its_lease_once_its_events_are_gone(tmp_path: Path) -> None:
    events = [usage_event(lease_id="lease_1", charged_micro=10 + number) for number in range(3)]
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle([*events, usage_event(lease_id="another", charged_micro=1), usage_event()])
        for some in (events[:1], events[1:]):
            await outbox.forget(some)
            (lease,) = await held.of("here")
            assert lease.settled_micro == 33


async def test_as_many_are_settled_together_as_may_be(tmp_path: Path) -> None:
    events = [usage_event() for _ in range(MOST_TOGETHER)]
    async with open_sqlite(database_file(tmp_path)) as database:
        outbox = OutboxStore(database)
        await outbox.settle(events)
        assert await outbox.oldest(MOST_TOGETHER + 1) == events


async def test_settling_again_leaves_alone_what_is_there(tmp_path: Path) -> None:
    events = [usage_event(lease_id="lease_1", charged_micro=40), usage_event()]
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle(events[:1])
        assert await outbox.settle(events, again=True) == []
        assert await outbox.settle(events, again=True) == []
        (lease,) = await held.of("here")
        assert lease.settled_micro == 40
        assert await outbox.oldest(10) == events


@pytest.mark.parametrize("arrived", [False, True])
async def test_settling_again_drops_another_event_of_a_known_id(tmp_path: Path, arrived: bool) -> None:
    first = usage_event(lease_id="lease_1", charged_micro=40)
    later, other = first._replace(total_ms=1.5), usage_event(lease_id="lease_1", charged_micro=1)
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle([first])
        if arrived:
            await UsageStore(database).take_in([first], first.at)
            await outbox.forget([first])
        assert await outbox.settle([later, other], again=True) == [later]
        (lease,) = await held.of("here")
        assert lease.settled_micro == 41
        assert await outbox.oldest(10) == ([other] if arrived else [first, other])


async def test_what_was_dropped_where_it_arrived_goes_back_to_its_lease_once(tmp_path: Path) -> None:
    events = [usage_event(lease_id="lease_1", charged_micro=40) for _ in range(2)]
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle(events)
        for _ in range(2):
            await outbox.forget(events, events[:1])
            (lease,) = await held.of("here")
            assert lease.settled_micro == 40
        assert await outbox.size() == 0


async def test_what_two_edges_of_a_node_send_on_is_taken_from_its_lease_once(tmp_path: Path) -> None:
    events = [usage_event(lease_id="lease_1", charged_micro=40) for _ in range(2)]
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle(events)
        await outbox.forget(events[:1])
        await outbox.forget(events)
        (lease,) = await held.of("here")
        assert lease.settled_micro == 80
