import pytest

from edge.store import HeldLeases, LeaseRow, OutboxStore, StoreError
from tests.edge.store.databases import Place
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio

LEASE = LeaseRow("lease_1", "default", "here", 100, 0, 0, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")


async def test_events_come_out_as_they_went_in(place: Place) -> None:
    events = [usage_event(total_ms=number / 3) for number in range(5)]
    async with place.open() as database:
        outbox = OutboxStore(database)
        assert await outbox.oldest(10) == []
        await outbox.settle(events[:2])
        await outbox.settle(events[2:])
        assert await outbox.oldest(3) == events[:3]
        await outbox.forget([event.id for event in events[:3]])
        assert await outbox.oldest(10) == events[3:]
        assert await outbox.size() == 2


async def test_an_event_and_its_charge_are_there_together_or_not_at_all(place: Place) -> None:
    event = usage_event(lease_id="lease_1", charged_micro=40)
    async with place.open() as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle([event])
        with pytest.raises(StoreError):
            await outbox.settle([usage_event(lease_id="lease_1", charged_micro=40), event])
        (lease,) = await held.of("here")
        assert lease.settled_micro == 40
        assert await outbox.oldest(10) == [event]


async def test_settling_again_leaves_alone_what_is_there(place: Place) -> None:
    events = [usage_event(lease_id="lease_1", charged_micro=40), usage_event()]
    async with place.open() as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep([LEASE])
        await outbox.settle(events[:1])
        await outbox.settle(events, again=True)
        await outbox.settle(events, again=True)
        (lease,) = await held.of("here")
        assert lease.settled_micro == 40
        assert await outbox.oldest(10) == events
