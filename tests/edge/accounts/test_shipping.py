from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from edge.accounts import shipping as module
from edge.accounts.shipping import Shipping
from edge.store import (
    HeldLeases,
    LeaseRow,
    OutboxStore,
    StoreError,
    Stores,
    UsageEvent,
    UsageStore,
    open_stores,
)
from tests.edge.store.databases import postgresql_database
from tests.edge.store.usage_events import never, usage_event

pytestmark = pytest.mark.anyio

DAY: dict[str, Any] = {
    "start": "2026-03-01",
    "end": "2026-03-01",
    "tenant_id": "default",
    "key_id": None,
    "limit": 100,
}


@asynccontextmanager
async def fleet(tmp_path: Path) -> AsyncIterator[Stores]:
    with postgresql_database() as url:
        async with open_stores(tmp_path, url) as stores:
            await stores.fleet.migrate()
            yield stores


async def requests(usage: UsageStore) -> int:
    return sum(total.requests for _, total in await usage.days(**DAY))


class Failing(UsageStore):
    """Takes events in and then says that it failed, as when the answer is lost."""

    failures = 1

    async def take_in(self, events: Sequence[UsageEvent], now: str) -> Sequence[UsageEvent]:
        dropped = await super().take_in(events, now)
        if self.failures:
            self.failures -= 1
            raise StoreError("the connection broke")
        return dropped


async def test_events_leave_the_edge_when_the_fleet_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    async with fleet(tmp_path) as stores:
        outbox, usage = OutboxStore(stores.local), UsageStore(stores.fleet)
        await outbox.settle([usage_event() for _ in range(8)])
        await Shipping(outbox, usage, keep_days=1, refund=never).flush()
        assert await outbox.size() == 0
        assert await requests(usage) == 8


async def test_events_whose_arrival_was_not_told_are_sent_again_and_count_once(tmp_path: Path) -> None:
    async with fleet(tmp_path) as stores:
        outbox, usage = OutboxStore(stores.local), Failing(stores.fleet)
        await outbox.settle([usage_event() for _ in range(4)])
        shipping = Shipping(outbox, usage, keep_days=1, refund=never)
        with pytest.raises(StoreError):
            await shipping.flush()
        assert await outbox.size() == 4
        await shipping.flush()
        assert await outbox.size() == 0
        assert await requests(usage) == 4


async def test_what_the_fleet_has_another_event_of_is_given_back(tmp_path: Path) -> None:
    lease = LeaseRow("lease_1", "default", "here", 100, 0, 0, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")
    event = usage_event(lease_id="lease_1", charged_micro=40)
    async with fleet(tmp_path) as stores:
        outbox, usage, held = OutboxStore(stores.local), Failing(stores.fleet), HeldLeases(stores.local)
        await held.keep([lease])
        await UsageStore(stores.fleet).take_in([event._replace(lease_id="lease_2")], event.at)
        await outbox.settle([event, usage_event()])
        refunded: list[UsageEvent] = []
        shipping = Shipping(outbox, usage, keep_days=1, refund=refunded.append)
        with pytest.raises(StoreError):
            await shipping.flush()
        for _ in range(2):
            await shipping.flush()
        assert refunded == [event]
        assert [row.settled_micro for row in await held.of("here")] == [0]
        assert await requests(usage) == 2


async def test_events_wait_on_the_disk_while_the_fleet_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHIP_SECONDS", 0.01)
    async with fleet(tmp_path) as stores:
        outbox, usage = OutboxStore(stores.local), Failing(stores.fleet)
        usage.failures = 3
        await outbox.settle([usage_event() for _ in range(2)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Shipping(outbox, usage, keep_days=36500, refund=never).run)
            with anyio.fail_after(20):
                while await outbox.size():
                    await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
        assert await requests(usage) == 2


async def test_old_events_are_deleted_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHIP_SECONDS", 0.01)
    async with open_stores(tmp_path, None) as stores:
        outbox, usage = OutboxStore(stores.local), UsageStore(stores.local)
        await outbox.settle([usage_event(), usage_event(at="2026-03-01T18:00:00.000Z")])
        now = datetime(2026, 3, 2, 15, tzinfo=UTC)
        shipping = Shipping(outbox, usage, keep_days=1, refund=never, now=lambda: now)
        with anyio.move_on_after(1):
            await shipping.run()
        assert await usage.prune("2026-03-02") == 1
        assert await requests(usage) == 2
