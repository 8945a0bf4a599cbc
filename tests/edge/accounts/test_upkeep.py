from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import psycopg
import pytest

from edge.accounts import upkeep as module
from edge.accounts.leases import Lease
from edge.accounts.upkeep import trim
from edge.accounts.wallet import Wallet
from edge.errors import InsufficientCredits, StoreUnavailable
from edge.store import (
    Account,
    CreditStore,
    HeldLeases,
    LeaseRow,
    LeaseStore,
    StoreError,
    Stores,
    TenantStore,
    Wish,
)
from tests.edge.accounts.purses import (
    PREPAID,
    Clock,
    Line,
    lease_of,
    line,
    node,
    settle,
    ship_all,
    until,
    wallet,
)
from tests.edge.store.databases import postgresql_database
from tests.edge.store.lease_steps import explained

pytestmark = pytest.mark.anyio


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@asynccontextmanager
async def fleet(home: Path, url: str, micro: int = 10_000) -> AsyncIterator[Stores]:
    async with node(home, url, micro=micro) as stores:
        yield stores


async def account(stores: Stores) -> Account:
    return await CreditStore(stores.fleet).account("acme")


async def account_of(stores: Stores) -> Account:
    """Return what the tenant has, though the way to the fleet is bad."""
    return await CreditStore(line(stores)._database).account("acme")


async def used(purse: Wallet, micro: int) -> Lease:
    """Have a call set *micro* aside and not use it; return the lease."""
    (await purse.reserve(PREPAID, micro)).settle(0)
    await until(lambda: not purse._holdings.turns)
    return lease_of(purse)


@contextmanager
def answers_to_cuts_lost(purse: Wallet, stores: Stores) -> Iterator[None]:
    way = Line(line(stores)._database)
    way.mute = True
    whole, purse._holdings._fleet = purse._holdings._fleet, LeaseStore(way)
    yield
    purse._holdings._fleet = whole


async def calls_are_served_at_once(purse: Wallet, micro: int) -> None:
    with anyio.fail_after(0):  # raises at any wait
        (await purse.reserve(PREPAID, micro)).settle(0)


async def test_without_a_fleet_an_idle_lease_goes_back_and_one_in_use_is_renewed(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=1000) as stores:
        purse = wallet(stores, clock)
        held = await purse.reserve(PREPAID, 40)
        for _ in range(2):
            clock.seconds += 50
            await purse._upkeep.tend()
        assert (await account(stores)).leased_micro > 0  # a call is under way
        held.settle(0)
        await purse._upkeep.tend()
        assert await account(stores) == Account(1000, 0)


async def test_in_a_fleet_an_idle_lease_shrinks_to_what_stands_and_serves_the_next_call(
    tmp_path: Path, url: str
) -> None:
    clock = Clock()
    async with fleet(tmp_path, url, 1_000) as stores:
        purse = wallet(stores, clock, lease_micro=600)
        held = await purse.reserve(PREPAID, 200)
        (await purse.reserve(PREPAID, 400)).settle(0)
        await settle(stores, held, 150)
        await until(lambda: not purse._holdings.turns)
        clock.seconds += 61
        await purse._upkeep.tend()
        assert await account(stores) == Account(800, 50)
        line(stores).cut = True
        clock.seconds += 50
        await calls_are_served_at_once(purse, 50)


async def test_what_the_ledger_has_of_a_lease_is_settled_after_a_restart(tmp_path: Path, url: str) -> None:
    async with fleet(tmp_path, url) as stores:
        first, again = wallet(stores), wallet(stores)
        await settle(stores, await first.reserve(PREPAID, 40), 30)
        (held,) = await HeldLeases(stores.local).of("here")
        assert await HeldLeases(stores.local).correct(held.id, settled_micro=30, known_micro=10)
        await again.open()
        assert lease_of(again).settled == 30


async def test_what_a_call_under_way_has_set_aside_is_not_cut(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url, 1_000) as stores:
        purse = wallet(stores, clock, lease_micro=1)
        await purse.reserve(PREPAID, 300)
        (await purse.reserve(PREPAID, 400)).settle(0)
        await until(lambda: not purse._holdings.turns)
        clock.seconds += 61
        await purse._upkeep.tend()
        assert lease_of(purse).free == 1
        assert (await account(stores)).leased_micro == 301


async def test_the_lease_of_who_is_not_prepaid_any_more_is_closed(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url) as stores:
        purse = wallet(stores, clock)
        await settle(stores, await purse.reserve(PREPAID, 40), 30, ship=False)
        await TenantStore(stores.fleet).update("acme", {"billing": "postpaid"})
        await until(lambda: not purse._holdings.turns)
        clock.seconds += 61
        await purse._upkeep.tend()
        assert await account(stores) == Account(9970, 30), "what a call used is not in the ledger yet"
        await ship_all(stores)
        await purse._upkeep.tend()
        assert await account(stores) == Account(9970, 0)
        assert await HeldLeases(stores.local).of("here") == []


async def test_where_there_are_too_many_leases_those_unused_longest_are_closed(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    async with fleet(tmp_path, url) as stores:
        purse = wallet(stores, clock)
        await used(purse, 40)
        clock.seconds += 61
        await purse._upkeep.tend()
        assert (await account(stores)).leased_micro > 0
        monkeypatch.setattr(module, "MOST_STANDING", 0)
        await purse._upkeep.tend()
        assert await account(stores) == Account(10_000, 0)


async def test_a_cut_whose_answer_is_lost_is_not_spent_and_told_again_until_it_is_known(
    tmp_path: Path, url: str
) -> None:
    clock = Clock()
    async with fleet(tmp_path, url, 1_000) as stores:
        purse = wallet(stores, clock, lease_micro=600)
        lease, held = await used(purse, 600), HeldLeases(stores.local)
        assert lease.granted == 700
        clock.seconds += 61
        with answers_to_cuts_lost(purse, stores), pytest.raises(StoreError):
            await purse._upkeep.tend()
        assert (lease.granted, lease.free) == (700, 58)
        assert [row.granted_micro for row in await held.of("here")] == [58]
        assert await account(stores) == Account(942, 58)
        for _ in range(2):
            await purse._upkeep.answer()
            assert (lease.granted, lease.free, lease.cut) == (58, 58, None)
        assert await account(stores) == Account(942, 58)


async def test_a_cut_that_did_not_happen_is_told_again(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url, 1_000) as stores:
        purse = wallet(stores, clock, lease_micro=600)
        lease = await used(purse, 600)
        lease.lower(58)
        line(stores).cut = True
        with pytest.raises(StoreError):
            await purse._upkeep.answer()
        line(stores).cut = False
        assert (lease.free, await account(stores)) == (58, Account(300, 700))
        lease.reserve(58, clock.seconds)
        await purse._upkeep.answer()
        assert (lease.granted, await account(stores)) == (58, Account(942, 58))


async def test_a_draw_tells_of_a_cut_whose_answer_was_lost(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url, 1_000) as stores:
        purse = wallet(stores, clock, lease_micro=600)
        lease = await used(purse, 600)
        lease.lower(58)
        with answers_to_cuts_lost(purse, stores), pytest.raises(StoreError):
            await purse._upkeep.answer()
        await purse.reserve(PREPAID, 100)
        assert lease.cut is None
        assert lease.granted == (await account(stores)).leased_micro


async def test_a_lease_that_may_have_been_given_back_is_not_spent(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url) as stores:
        purse = wallet(stores, clock)
        await used(purse, 40)
        line(stores).mute = True
        await purse.close()
        line(stores).cut = True
        assert await account_of(stores) == Account(10_000, 0)
        with pytest.raises(StoreUnavailable):
            await purse.reserve(PREPAID, 1)
        restarted = wallet(stores, clock)
        await restarted.open()
        with pytest.raises(StoreUnavailable):
            await restarted.reserve(PREPAID, 1)
        line(stores).cut = line(stores).mute = False
        await purse.reserve(PREPAID, 1)
        assert lease_of(purse).granted == (await account(stores)).leased_micro


async def test_a_lease_that_cannot_be_given_back_is_given_back_later(tmp_path: Path, url: str) -> None:
    async with fleet(tmp_path, url) as stores:
        purse = wallet(stores, Clock())
        held = await purse.reserve(PREPAID, 40)
        await settle(stores, held, 30, ship=False)
        line(stores).cut = True
        await purse.close()
        line(stores).cut = False
        await purse.close()
        assert await account(stores) == Account(9970, 30), "what is free; not what calls still report"
        await ship_all(stores)
        await purse._upkeep.answer()
        lease_of(purse).lower(30, close=True)
        await purse._upkeep.answer()
        assert await account(stores) == Account(9970, 0)
        assert purse._holdings.leases == {}
        assert await explained(stores.fleet, "acme")


async def test_a_lease_of_its_own_that_an_edge_does_not_know_is_given_up_when_it_is_recalled(
    tmp_path: Path, url: str
) -> None:
    async with fleet(tmp_path, url, 1_000) as stores:
        purse, leases = wallet(stores, Clock()), LeaseStore(stores.fleet)
        wish = Wish("acme", "here", 300, 0)
        row = await leases.draw(wish, now="2026-03-01T12:00:00Z", expires_at="2026-03-01T13:00:00Z")
        assert isinstance(row, LeaseRow)
        await leases.recall([row.id], "2026-03-01T12:00:00Z")
        await purse._upkeep.answer()
        assert await account(stores) == Account(1_000, 0)
        assert purse._holdings.leases == {}


async def test_leases_of_an_edge_that_died_come_back_by_another(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=100) as stores:
        dead, alive = wallet(stores, clock, "dead"), wallet(stores, clock, "alive")
        await dead.reserve(PREPAID, 100)
        clock.seconds += 130
        await alive._upkeep.tend()
        await alive.reserve(PREPAID, 100)
        await dead._upkeep.tend()
        with pytest.raises(InsufficientCredits):
            await dead.reserve(PREPAID, 1)


async def test_leases_that_were_closed_long_ago_are_deleted_as_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    clock = Clock()
    async with node(tmp_path, micro=100) as stores:
        purse = wallet(stores, clock)
        (await purse.reserve(PREPAID, 40)).settle(0)
        await purse.close()
        clock.seconds += timedelta(days=8).total_seconds()
        with anyio.move_on_after(0.5):
            await purse.run()
        assert await LeaseStore(stores.fleet).forget_closed("2027-01-01") == 0


async def test_a_lease_that_was_renewed_is_good_after_a_restart_without_the_fleet(
    tmp_path: Path, url: str
) -> None:
    clock = Clock()
    async with fleet(tmp_path, url) as stores:
        purse = wallet(stores, clock)
        held = await purse.reserve(PREPAID, 40)
        await settle(stores, held, 15)
        for _ in range(10):
            clock.seconds += 30
            await purse._upkeep.tend()
        line(stores).cut = True
        restarted = wallet(stores, clock)
        await restarted.open()
        clock.seconds += 59
        await calls_are_served_at_once(restarted, lease_of(purse).free)
        with pytest.raises(StoreUnavailable):
            await restarted.reserve(PREPAID, lease_of(purse).free + 1)
        clock.seconds += 2
        with pytest.raises(StoreUnavailable):
            await restarted.reserve(PREPAID, 1)


async def test_a_renewal_tells_what_was_granted_without_the_edge_knowing(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url) as stores:
        purse = wallet(stores, clock)
        lease = await used(purse, 40)
        line(stores).mute = True
        with pytest.raises(StoreUnavailable):
            await purse.reserve(PREPAID, lease.free + 500)
        line(stores).mute = False
        assert lease.granted < (await account(stores)).leased_micro
        clock.seconds += 30
        await purse._upkeep.tend()
        assert lease.granted == (await account(stores)).leased_micro
        assert [row.granted_micro for row in await HeldLeases(stores.local).of("here")] == [lease.granted]


async def test_what_the_fleet_never_hears_of_is_free_again(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url, 100) as stores:
        purse = wallet(stores, clock, lease_micro=10)
        held = [await purse.reserve(PREPAID, 20) for _ in range(3)]
        await settle(stores, held[0], 20)
        await settle(stores, held[1], 20, ship=False)
        held[2].settle(20)  # its event could not be written
        await until(lambda: not purse._holdings.turns)
        lease = lease_of(purse)
        free = lease.free

        async def pass_by(seconds: float) -> None:
            clock.seconds += seconds
            await purse._upkeep.tend()

        await pass_by(30)
        assert lease.free == free, "it is in use"
        await pass_by(61)
        assert lease.settled == 60, "an event is on its way"
        await ship_all(stores)
        lease.unwritten = 1
        await pass_by(31)
        assert lease.settled == 60, "an event is not on the disk"
        lease.unwritten = 0
        await pass_by(31)
        assert lease.settled == 40
        restarted = wallet(stores, clock)
        await restarted.open()
        assert lease_of(restarted).settled == 40


@pytest.mark.parametrize(
    ("lease", "balance", "granted", "close"),
    [
        (Lease("l", "t", 500, 100, 0, 0, reserved=50), 10_000, 250, False),
        (Lease("l", "t", 290, 100, 0, 0, reserved=50), 10_000, None, False),
        (Lease("l", "t", 500, 100, 0, 0), 0, 123, False),
        (Lease("l", "t", 116, 100, 0, 0), 0, 100, True),
        (Lease("l", "t", 166, 100, 0, 0, reserved=50), 0, 150, False),
        (Lease("l", "t", 500, 100, 0, 0), None, 100, True),
    ],
)
def test_an_idle_lease_is_trimmed(
    lease: Lease, balance: int | None, granted: int | None, close: bool
) -> None:
    trim(lease, balance, 100)
    assert lease.trimmed
    assert (lease.cut and lease.cut.granted_micro) == granted
    assert (lease.cut is not None and lease.cut.close) == close


async def test_a_database_that_was_restored_is_believed(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with fleet(tmp_path, url) as stores:
        purse = wallet(stores, clock)
        for _ in range(3):
            await used(purse, 300)

        async def restore() -> None:
            with psycopg.connect(url) as connection:
                connection.execute("UPDATE balances SET balance_micro = 9900")
                connection.execute("UPDATE leases SET granted_micro = 100, moves = 0, spent_micro = 0")

        await restore()
        await used(purse, lease_of(purse).free + 1000)
        assert lease_of(purse).granted == (await account(stores)).leased_micro
        await restore()
        clock.seconds += 30
        await purse._upkeep.tend()
        assert purse._holdings.leases == {}
        await used(purse, 100)
        assert lease_of(purse).granted == (await account(stores)).leased_micro


async def test_credits_held_through_an_outage_are_there_when_the_fleet_is_back(
    tmp_path: Path, url: str
) -> None:
    clock = Clock()
    async with fleet(tmp_path, url, 100) as stores:
        purse = wallet(stores, clock)
        await used(purse, 100)
        line(stores).cut = True
        clock.seconds += 61
        with pytest.raises(StoreUnavailable):
            await purse.reserve(PREPAID, 100)
        line(stores).cut = False
        await purse.reserve(PREPAID, 100)
