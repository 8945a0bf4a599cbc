from dataclasses import replace

import anyio
import pytest

from edge.store import Account, CreditStore, Elsewhere, LeaseRow, LeaseStore, Short, UsageStore
from tests.edge.store.databases import Place
from tests.edge.store.lease_steps import LATER, NOW, SOON, cut, draw, drawn, explained, grant
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio


async def test_a_lease_takes_what_is_needed_and_a_quarter_of_the_rest_at_most(place: Place) -> None:
    async with place.open() as database:
        store = CreditStore(database)
        await store.grant(grant(0, 1000))
        small = await drawn(database, 10, 40)
        assert (small.granted_micro, small.holder, small.expires_at) == (40, "here", SOON)
        assert (await drawn(database, 10, 5000, "there")).granted_micro == 240
        assert (await drawn(database, 700, 0, "elsewhere")).granted_micro == 700
        assert await store.account("default") == Account(20, 980)
        short = await draw(database, 21)
        assert isinstance(short, Short)
        assert short.balance_micro == 20
        assert await explained(database)


async def test_an_edge_has_one_lease_of_a_tenant_that_grows_while_it_is_open(place: Place) -> None:
    async with place.open() as database:
        await CreditStore(database).grant(grant(0, 1000))
        first = await drawn(database, 100)
        second = await drawn(database, 50)
        assert second == replace(first, granted_micro=150, moves=1)
        assert await cut(database, second, 0, close=True) is None
        other = await drawn(database, 50)
        assert other.id != first.id
        assert await CreditStore(database).account("default") == Account(950, 50)


async def test_draws_at_once_never_give_more_than_there_is(place: Place) -> None:
    async with place.open() as database:
        await CreditStore(database).grant(grant(0, 100))
        got: list[LeaseRow | Short] = []

        async def one(number: int) -> None:
            got.append(await draw(database, 7, holder=str(number)))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(one, number)
        granted = [row.granted_micro for row in got if isinstance(row, LeaseRow)]
        account = await CreditStore(database).account("default")
    assert sum(granted) <= 100
    assert account == Account(100 - sum(granted), sum(granted))
    assert account.balance_micro < 7


async def test_usage_is_taken_from_the_lease_and_the_rest_comes_back(place: Place) -> None:
    async with place.open() as database:
        store, usage = CreditStore(database), UsageStore(database)
        await store.grant(grant(0, 1000))
        lease = await drawn(database, 100)
        await usage.take_in([usage_event(lease_id=lease.id, charged_micro=30) for _ in range(2)], NOW)
        assert await store.account("default") == Account(900, 40)
        less = await cut(database, lease, 61, close=True)
        assert less is not None, "one of its calls is not in the ledger yet"
        assert (less.granted_micro, less.spent_micro) == (61, 60)
        assert await store.account("default") == Account(939, 1)
        assert await cut(database, less, 60, close=True) is None
        assert await store.account("default") == Account(940, 0)
        assert await explained(database)


async def test_a_cut_counts_once_and_only_as_long_as_nothing_else_has_moved_the_lease(place: Place) -> None:
    async with place.open() as database:
        store = CreditStore(database)
        await store.grant(grant(0, 1000))
        lease = await drawn(database, 100)
        less = await cut(database, lease, 70)
        assert less is not None
        assert (less.granted_micro, less.moves) == (70, 1)
        assert await cut(database, lease, 70) == less
        more = await drawn(database, 30)
        assert await cut(database, lease, 70) == more, "it holds as much as at first, but not the same"
        assert await cut(database, less, 20, close=True) == more
        assert await store.account("default") == Account(900, 100)


async def test_nothing_is_cut_that_the_ledger_has(place: Place) -> None:
    async with place.open() as database:
        await CreditStore(database).grant(grant(0, 1000))
        lease = await drawn(database, 100)
        await UsageStore(database).take_in([usage_event(lease_id=lease.id, charged_micro=30)], NOW)
        less = await cut(database, lease, 10)
        assert less is not None
        assert less.granted_micro == 30


async def test_who_finds_too_little_learns_of_what_others_hold_and_recalls_it(place: Place) -> None:
    async with place.open() as database:
        await CreditStore(database).grant(grant(0, 100))
        leases = LeaseStore(database)
        away = await drawn(database, 60, holder="there")
        own = await drawn(database, 30)
        assert await draw(database, 20) == Short(10, (Elsewhere(away.id, 60, recalled_at=None),))
        assert await leases.recalled("there") == []
        await leases.recall([away.id], NOW)
        await leases.recall([away.id], LATER)
        assert await leases.recalled("there") == [replace(away, recalled_at=NOW)]
        assert await leases.recalled("here") == []
        assert await draw(database, 20) == Short(10, (Elsewhere(away.id, 60, recalled_at=NOW),))
        await cut(database, away, 0)
        assert await leases.recalled("there") == []
        assert (await drawn(database, 70)).granted_micro == own.granted_micro + 70
        assert await draw(database, 20) == Short(0)


async def test_a_lease_that_has_expired_is_not_waited_for(place: Place) -> None:
    async with place.open() as database:
        await CreditStore(database).grant(grant(0, 100))
        away = await drawn(database, 60, holder="there")
        await LeaseStore(database).renew([away.id], NOW)
        assert await draw(database, 50) == Short(40)


async def test_the_lease_of_a_dead_edge_expires_and_is_reconciled_when_its_events_come(place: Place) -> None:
    async with place.open() as database:
        store, leases, usage = CreditStore(database), LeaseStore(database), UsageStore(database)
        await store.grant(grant(0, 1000))
        lease = await drawn(database, 100)
        alive = await drawn(database, 100, holder="there")
        renewed = await leases.renew([alive.id, "lease_unknown"], LATER)
        assert renewed == {alive.id: replace(alive, expires_at=LATER)}
        assert await leases.expire(before=SOON, now=SOON) == 0
        assert await leases.expire(before="2026-03-01T12:06:00Z", now=SOON) == 1
        assert await leases.renew([lease.id], LATER) == {}
        assert await store.account("default") == Account(900, 100)
        late = [usage_event(lease_id=lease.id, charged_micro=30) for _ in range(2)]
        await usage.take_in(late, NOW)
        await usage.take_in(late, NOW)
        assert await store.account("default") == Account(840, 100)
        assert await explained(database)


async def test_leases_closed_long_ago_are_deleted_and_late_events_still_charged(place: Place) -> None:
    async with place.open() as database:
        store, leases, usage = CreditStore(database), LeaseStore(database), UsageStore(database)
        await store.grant(grant(0, 1000))
        closed, still_open = await drawn(database, 100), await drawn(database, 100, holder="there")
        assert await cut(database, closed, 0, close=True) is None
        assert await leases.forget_closed(NOW) == 0
        assert await leases.forget_closed(LATER) == 1
        assert set(await leases.renew([closed.id, still_open.id], LATER)) == {still_open.id}
        await usage.take_in([usage_event(lease_id=closed.id, charged_micro=30)], NOW)
        assert await store.account("default") == Account(870, 100)
        assert await explained(database)
