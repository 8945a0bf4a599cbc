from pathlib import Path

import anyio
import pytest

from edge.store import (
    Account,
    CreditStore,
    HeldLeases,
    LeaseRow,
    LedgerRow,
    OutboxStore,
    UsageStore,
    Wish,
    database_file,
    open_sqlite,
)
from tests.edge.store.databases import Place
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio

NOW, SOON, LATER = "2026-03-01T12:00:00Z", "2026-03-01T12:05:00Z", "2026-03-01T13:00:00Z"


def grant(number: int, micro: int, tenant_id: str = "default") -> LedgerRow:
    return LedgerRow(
        f"led_{number}", tenant_id, f"2026-03-01T12:00:0{number}.000Z", "grant", micro, None, "note"
    )


def wish(need: int, most: int = 0, lease_id: str | None = None, holder: str = "here") -> Wish:
    return Wish("default", holder, need, most, lease_id)


async def draw(store: CreditStore, asked: Wish) -> LeaseRow | int:
    return await store.draw(asked, now=NOW, expires_at=SOON)


async def drawn(store: CreditStore, asked: Wish) -> LeaseRow:
    row = await draw(store, asked)
    assert isinstance(row, LeaseRow)
    return row


async def balances_are_explained(store: CreditStore) -> bool:
    """Whether the ledger's sum is the balance and what leases have left."""
    account = await store.account("default")
    entries = await store.ledger("default", limit=1000)
    return sum(entry.amount_micro for entry in entries) == account.credits_micro


async def test_grants_add_up_and_are_listed_newest_first(place: Place) -> None:
    async with place.open() as database:
        store = CreditStore(database)
        assert await store.account("default") == Account(0, 0)
        for number, micro in enumerate((100, -30, 5)):
            assert await store.grant(grant(number, micro))
        assert not await store.grant(grant(9, 1, "nobody"))
        assert await store.account("default") == Account(75, 0)
        first = await store.ledger("default", limit=2)
        rest = await store.ledger("default", before=(first[-1].at, first[-1].id), limit=2)
    assert [*first, *rest] == [grant(2, 5), grant(1, -30), grant(0, 100)]


async def test_a_lease_takes_what_is_needed_and_a_quarter_of_the_rest_at_most(place: Place) -> None:
    async with place.open() as database:
        store = CreditStore(database)
        await store.grant(grant(0, 1000))
        small = await drawn(store, wish(10, 40))
        assert (small.granted_micro, small.holder, small.expires_at) == (40, "here", SOON)
        assert (await drawn(store, wish(10, 5000))).granted_micro == 240
        assert (await drawn(store, wish(700, 0))).granted_micro == 700
        assert await store.account("default") == Account(20, 980)
        assert await draw(store, wish(21)) == 20
        assert await balances_are_explained(store)


async def test_a_lease_grows_while_it_is_open(place: Place) -> None:
    async with place.open() as database:
        store = CreditStore(database)
        await store.grant(grant(0, 1000))
        lease = await drawn(store, wish(100))
        assert (await drawn(store, wish(50, 0, lease.id))).granted_micro == 150
        assert await store.give_back(lease.id, settled_micro=0, now=NOW)
        other = await drawn(store, wish(50, 0, lease.id))
        assert other.id != lease.id
        assert await store.account("default") == Account(950, 50)


async def test_draws_at_once_never_give_more_than_there_is(place: Place) -> None:
    async with place.open() as database:
        store = CreditStore(database)
        await store.grant(grant(0, 100))
        got: list[LeaseRow | int] = []

        async def one() -> None:
            got.append(await draw(store, wish(7)))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
        granted = [row.granted_micro for row in got if isinstance(row, LeaseRow)]
        account = await store.account("default")
    assert sum(granted) <= 100
    assert account == Account(100 - sum(granted), sum(granted))
    assert account.balance_micro < 7


async def test_usage_is_taken_from_the_lease_and_the_rest_comes_back(place: Place) -> None:
    async with place.open() as database:
        store, usage = CreditStore(database), UsageStore(database)
        await store.grant(grant(0, 1000))
        lease = await drawn(store, wish(100))
        await usage.take_in([usage_event(lease_id=lease.id, charged_micro=30) for _ in range(2)], NOW)
        assert await store.account("default") == Account(900, 40)
        assert not await store.give_back(lease.id, settled_micro=61, now=NOW)
        assert await store.give_back(lease.id, settled_micro=60, now=NOW)
        assert await store.give_back(lease.id, settled_micro=60, now=NOW)
        assert await store.account("default") == Account(940, 0)
        assert await balances_are_explained(store)


async def test_the_lease_of_a_dead_edge_expires_and_is_reconciled_when_its_events_come(place: Place) -> None:
    async with place.open() as database:
        store, usage = CreditStore(database), UsageStore(database)
        await store.grant(grant(0, 1000))
        lease = await drawn(store, wish(100))
        alive = await drawn(store, wish(100, holder="there"))
        assert await store.renew([alive.id, "lease_unknown"], LATER) == {alive.id}
        assert await store.expire(before=SOON, now=SOON) == 0
        assert await store.expire(before="2026-03-01T12:06:00Z", now=SOON) == 1
        assert await store.renew([lease.id], LATER) == set()
        assert await store.account("default") == Account(900, 100)
        late = [usage_event(lease_id=lease.id, charged_micro=30) for _ in range(2)]
        await usage.take_in(late, NOW)
        await usage.take_in(late, NOW)
        assert await store.account("default") == Account(840, 100)
        assert await balances_are_explained(store)


async def test_leases_closed_long_ago_are_deleted_and_late_events_still_charged(place: Place) -> None:
    async with place.open() as database:
        store, usage = CreditStore(database), UsageStore(database)
        await store.grant(grant(0, 1000))
        closed, still_open = await drawn(store, wish(100)), await drawn(store, wish(100, holder="there"))
        assert await store.give_back(closed.id, settled_micro=0, now=NOW)
        assert await store.forget_closed(NOW) == 0
        assert await store.forget_closed(LATER) == 1
        assert await store.renew([closed.id, still_open.id], LATER) == {still_open.id}
        await usage.take_in([usage_event(lease_id=closed.id, charged_micro=30)], NOW)
        assert await store.account("default") == Account(870, 100)
        assert await balances_are_explained(store)


async def test_one_who_pays_later_goes_below_zero(place: Place) -> None:
    async with place.open() as database:
        await UsageStore(database).take_in([usage_event(charged_micro=30)], NOW)
        store = CreditStore(database)
        assert await store.account("default") == Account(-30, 0)
        assert await balances_are_explained(store)


async def test_leases_held_are_there_after_a_restart_with_what_calls_left_of_them(tmp_path: Path) -> None:
    lease = LeaseRow("lease_1", "default", "here", 100, 0, 0, NOW, SOON)
    async with open_sqlite(database_file(tmp_path)) as database:
        held, outbox = HeldLeases(database), OutboxStore(database)
        await held.keep(lease)
        await outbox.settle([usage_event(lease_id="lease_1", charged_micro=7) for _ in range(3)])
        await held.keep(LeaseRow("lease_1", "default", "here", 250, 0, 0, NOW, LATER))
    async with open_sqlite(database_file(tmp_path)) as database:
        held = HeldLeases(database)
        assert await held.of("here") == [LeaseRow("lease_1", "default", "here", 250, 21, 0, NOW, LATER)]
        assert await held.of("there") == []
        await held.drop("lease_1")
        assert await held.of("here") == []
