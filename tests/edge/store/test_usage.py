from typing import Any

import anyio
import pytest

from edge.store import CreditStore, StoreError, UsageStore
from edge.store.usage import UsageGroup
from tests.edge.store.databases import Place
from tests.edge.store.usage_events import PLAIN, usage_event

pytestmark = pytest.mark.anyio

NOW = "2026-03-02T00:00:00.000Z"
WEEK: dict[str, Any] = {
    "start": "2026-02-26",
    "end": "2026-03-04",
    "tenant_id": "default",
    "key_id": "key_1",
    "limit": 100,
}


async def test_events_are_added_up_by_what_they_have_in_common(place: Place) -> None:
    async with place.open() as database:
        store = UsageStore(database)
        first = [
            usage_event(),
            usage_event(total_ms=300.0, status=499),
            usage_event(at="2026-03-02T00:00:00.001Z"),
        ]
        second = [usage_event(audio_ms=1500, characters=20), usage_event(service="completions")]
        assert await store.take_in(first, NOW) == []
        assert await store.take_in(second, NOW) == []
        rows = {(group.day, group.service): total for group, total in await store.days(**WEEK)}
    assert set(rows) == {
        ("2026-03-01", "chat/completions"),
        ("2026-03-01", "completions"),
        ("2026-03-02", "chat/completions"),
    }
    total = rows["2026-03-01", "chat/completions"]
    assert (total.requests, total.errors, total.prompt_tokens, total.cached_tokens) == (3, 1, 30, 12)
    assert (total.completion_tokens, total.audio_ms, total.characters) == (15, 1500, 20)
    assert (total.cost_micro, total.charged_micro) == (21, 21)
    assert total.total_ms_sum == pytest.approx(500)
    assert total.total_ms.quantile(1.0) == pytest.approx(300, rel=0.01)
    assert total.first_byte_ms.count == 3


async def test_an_event_that_comes_again_counts_once(place: Place) -> None:
    events = [usage_event(), usage_event()]
    async with place.open() as database:
        store = UsageStore(database)
        for sent in ([*events, events[0]], [*events, usage_event()], events):
            assert await store.take_in(sent, NOW) == []
        ((_, total),) = await store.days(**WEEK)
        assert total.requests == 3
        assert (await CreditStore(database).account("default")).balance_micro == -21


async def test_of_two_events_with_one_id_the_first_counts_and_the_other_is_told_of(place: Place) -> None:
    first = usage_event(lease_id="lease_1")
    later = first._replace(at="2026-03-01T12:00:05.000Z", lease_id="lease_2")
    async with place.open() as database:
        store = UsageStore(database)
        assert await store.take_in([first], NOW) == []
        assert await store.take_in([later, first, usage_event()], NOW) == [later]
        ((_, total),) = await store.days(**WEEK)
        assert total.requests == 2
        assert (await CreditStore(database).account("default")).balance_micro == -14


async def test_events_sent_by_several_at_once_count_once(place: Place) -> None:
    events = [usage_event(region=f"r{number % 3}") for number in range(30)]

    async with place.open() as database:
        store = UsageStore(database)

        async def send(start: int) -> None:
            mine = [*events[start:], *events[:start]]
            for _ in range(10):
                try:
                    await store.take_in(mine, NOW)
                except StoreError:
                    continue  # another one was just storing the same: the next try sees it
                return
            raise AssertionError("not taken in")

        async with anyio.create_task_group() as tasks:
            for start in range(4):
                tasks.start_soon(send, start)
        rows = await store.days(**WEEK)
    assert sum(total.requests for _, total in rows) == 30
    assert len(rows) == 3


async def test_new_sums_that_several_begin_at_once_lose_nothing(place: Place) -> None:
    async with place.open() as database:
        store = UsageStore(database)
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(store.take_in, [usage_event() for _ in range(5)], NOW)
        ((_, total),) = await store.days(**WEEK)
    assert total.requests == 40
    assert total.total_ms.count == 40


async def test_days_are_those_of_one_key_or_of_all_of_the_tenant(place: Place) -> None:
    async with place.open() as database:
        store = UsageStore(database)
        await store.take_in(
            [
                usage_event(),
                usage_event(key_id="key_2"),
                usage_event(tenant_id="other"),
                usage_event(at="2026-02-25T23:59:59.999Z"),
                usage_event(at="2026-03-05T00:00:00.000Z"),
            ],
            NOW,
        )
        mine = await store.days(**WEEK)
        ours = await store.days(**(WEEK | {"key_id": None}))
        assert len(await store.days(**(WEEK | {"key_id": None, "limit": 1}))) == 1
    assert [group for group, _ in mine] == [UsageGroup.of(PLAIN._replace(id="any"))]
    assert {group.key_id for group, _ in ours} == {"key_1", "key_2"}
    assert {group.tenant_id for group, _ in ours} == {"default"}


async def test_old_events_are_deleted_and_their_sums_stay(place: Place) -> None:
    async with place.open() as database:
        store = UsageStore(database)
        old = usage_event()
        await store.take_in([old, usage_event(at=NOW)], NOW)
        assert await store.prune(NOW) == 1
        assert await store.prune(NOW) == 0
        assert len(await store.days(**WEEK)) == 2
