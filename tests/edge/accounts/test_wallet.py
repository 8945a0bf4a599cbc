from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from edge.accounts import Billing, Limits, Tenant
from edge.accounts import wallet as module
from edge.accounts.credits import CreditService
from edge.accounts.leases import Reservation
from edge.accounts.wallet import Wallet, units
from edge.errors import InsufficientCredits, StoreUnavailable
from edge.store import (
    Account,
    CreditStore,
    Database,
    LeaseRow,
    StoreError,
    Stores,
    TenantRow,
    TenantStore,
    Wish,
    open_stores,
)
from tests.edge.store.databases import postgresql_database
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio

PREPAID = Tenant("acme", "Acme", Billing.PREPAID, Limits(), "2026-03-01T12:00:00Z")


class Broken(Database):
    """A database that does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def write(self, work: Any) -> Any:
        self.asked += 1
        raise StoreError("gone")


class Clock:
    """A clock of both kinds that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def timer(self) -> float:
        return self.seconds


@asynccontextmanager
async def node(home: Path, url: str | None = None, *, micro: int = 0) -> AsyncIterator[Stores]:
    """Open the stores of a node where the tenant was granted *micro*."""
    async with open_stores(home, url) as stores:
        if stores.in_fleet:
            await stores.fleet.migrate()
        await TenantStore(stores.fleet).add(TenantRow("acme", "Acme", "prepaid", "2026-03-01T12:00:00Z"))
        if micro:
            await CreditService(CreditStore(stores.fleet)).grant("acme", micro)
        yield stores


def wallet(stores: Stores, clock: Clock, holder: str = "here", lease_micro: int = 100) -> Wallet:
    return Wallet(stores, holder, lease_micro=lease_micro, lease_seconds=60, now=clock.now, timer=clock.timer)


async def reserve_all(purse: Wallet, micro: int, calls: int) -> list[Reservation]:
    """Reserve for *calls* at once; return those that were allowed."""
    allowed: list[Reservation] = []

    async def one() -> None:
        try:
            allowed.append(await purse.reserve(PREPAID, micro))
        except InsufficientCredits:
            return

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(one)
    return allowed


@pytest.mark.parametrize("in_fleet", [False, True])
@pytest.mark.parametrize("lease_micro", [1, 30, 10_000])
async def test_of_64_calls_at_once_credits_for_10_run_exactly_10(
    tmp_path: Path, in_fleet: bool, lease_micro: int
) -> None:
    with postgresql_database() as url:
        async with node(tmp_path, url if in_fleet else None, micro=107) as stores:
            purse = wallet(stores, Clock(), lease_micro=lease_micro)
            assert len(await reserve_all(purse, 10, 64)) == 10


async def test_two_edges_at_once_never_spend_more_than_there_is(tmp_path: Path) -> None:
    async with node(tmp_path, micro=100) as stores:
        purses = [wallet(stores, Clock(), holder, 1) for holder in ("here", "there")]
        counts = []

        async def rush(purse: Wallet) -> None:
            counts.append(len(await reserve_all(purse, 7, 30)))

        async with anyio.create_task_group() as tasks:
            for purse in purses:
                tasks.start_soon(rush, purse)
        assert 12 <= sum(counts) <= 14


@pytest.mark.parametrize("billing", [Billing.POSTPAID, Billing.UNMETERED])
async def test_who_does_not_pay_before_needs_no_credits(tmp_path: Path, billing: Billing) -> None:
    async with node(tmp_path) as stores:
        tenant = Tenant("acme", "Acme", billing, Limits(), "")
        reservation = await wallet(stores, Clock()).reserve(tenant, 10**9)
        assert reservation.lease_id is None
        assert reservation.settle(5) == 5


async def test_too_little_is_told_with_what_is_left(tmp_path: Path) -> None:
    async with node(tmp_path, micro=1_500_000) as stores:
        purse = wallet(stores, Clock())
        await purse.reserve(PREPAID, 1_000_000)
        with pytest.raises(InsufficientCredits, match=r"may cost up to 2 and 0\.5 of credits"):
            await purse.reserve(PREPAID, 2_000_000)


async def test_what_a_call_did_not_use_is_free_again(tmp_path: Path) -> None:
    async with node(tmp_path, micro=100) as stores:
        purse = wallet(stores, Clock())
        first = await purse.reserve(PREPAID, 100)
        with pytest.raises(InsufficientCredits):
            await purse.reserve(PREPAID, 1)
        assert first.settle(30) == 30
        assert (await purse.reserve(PREPAID, 70)).settle(1_000) == 70


async def test_a_small_call_is_not_refused_because_a_large_one_is(tmp_path: Path) -> None:
    async with node(tmp_path, micro=50) as stores:
        purse = wallet(stores, Clock())
        allowed: list[int] = []

        async def one(micro: int) -> None:
            try:
                await purse.reserve(PREPAID, micro)
                allowed.append(micro)
            except InsufficientCredits:
                return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, 1000)
            tasks.start_soon(one, 10)
        assert allowed == [10]


async def test_one_who_asks_in_the_moment_in_which_a_draw_ends_asks_anew(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=10) as stores:
        purse = wallet(stores, clock)
        draw = purse._start_draw("acme", 50)
        while not draw.done():
            await anyio.lowlevel.checkpoint()
        clock.seconds += 1  # the refusal is forgotten
        with pytest.raises(InsufficientCredits):
            await purse.reserve(PREPAID, 50)


async def test_a_grant_counts_after_a_moment(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=5) as stores:
        purse = wallet(stores, clock)
        with pytest.raises(InsufficientCredits):
            await purse.reserve(PREPAID, 10)
        await CreditService(CreditStore(stores.fleet)).grant("acme", 5)
        clock.seconds += 0.3
        await purse.reserve(PREPAID, 10)


async def test_calls_go_on_without_the_fleet_until_the_lease_is_used_up(tmp_path: Path) -> None:
    clock = Clock()
    with postgresql_database() as url:
        async with node(tmp_path, url, micro=1000) as stores:
            purse = wallet(stores, clock)
            await purse.reserve(PREPAID, 10)
            await anyio.sleep(0.3)  # it draws ahead
            broken = Broken()
            purse._fleet = CreditStore(broken)
            served = 0
            with suppress(StoreUnavailable):
                while served < 100:
                    await purse.reserve(PREPAID, 10)
                    served += 1
            assert 10 <= served < 100
            assert broken.asked


class Slow(CreditStore):
    async def draw(self, wish: Wish, *, now: str, expires_at: str) -> LeaseRow | int:
        await anyio.sleep(0.2)
        return await super().draw(wish, now=now, expires_at=expires_at)


async def test_no_call_waits_for_a_draw_while_there_is_a_lease(tmp_path: Path) -> None:
    with postgresql_database() as url:
        async with node(tmp_path, url, micro=10**6) as stores:
            purse = wallet(stores, Clock(), lease_micro=1000)
            await purse.reserve(PREPAID, 1)
            purse._fleet = Slow(stores.fleet)
            for _ in range(150):
                with anyio.fail_after(0):  # raises at any wait
                    await purse.reserve(PREPAID, 10)
                await anyio.sleep(0.01)


async def test_a_lease_that_could_not_be_renewed_is_not_used_any_more(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=1000) as stores:
        purse = wallet(stores, clock)
        await purse.reserve(PREPAID, 10)
        purse._fleet = CreditStore(Broken())
        clock.seconds += 61
        with pytest.raises(StoreUnavailable):
            await purse.reserve(PREPAID, 1)


async def test_after_a_crash_the_same_lease_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=100) as stores:
        first = wallet(stores, clock, lease_micro=100)
        (await first.reserve(PREPAID, 90)).settle(0)
        second = wallet(stores, clock, lease_micro=100)
        await second.open()
        await second.reserve(PREPAID, 100)
        with pytest.raises(InsufficientCredits):
            await second.reserve(PREPAID, 1)


async def test_what_an_edge_did_not_use_goes_back_when_it_ends(tmp_path: Path) -> None:
    async with node(tmp_path, micro=100) as stores:
        purse = wallet(stores, Clock())
        (await purse.reserve(PREPAID, 40)).settle(0)
        assert (await CreditStore(stores.fleet).account("acme")).leased_micro > 0
        await purse.close()
        assert await CreditStore(stores.fleet).account("acme") == Account(100, 0)


async def test_an_idle_lease_goes_back_and_one_in_use_is_renewed(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=1000) as stores:
        purse, store = wallet(stores, clock), CreditStore(stores.fleet)
        held = await purse.reserve(PREPAID, 40)
        clock.seconds += 50
        await purse._tend()
        clock.seconds += 50
        await purse._tend()
        assert (await store.account("acme")).leased_micro > 0  # a call is under way
        await purse.reserve(PREPAID, 1)
        held.settle(0)
        clock.seconds += 61
        await purse._tend()
        assert (await store.account("acme")).leased_micro > 0


async def test_a_lease_that_cannot_be_given_back_is_kept(tmp_path: Path) -> None:
    async with node(tmp_path, micro=100) as stores:
        purse = wallet(stores, Clock())
        (await purse.reserve(PREPAID, 40)).settle(0)
        fleet, purse._fleet = purse._fleet, CreditStore(Broken())
        await purse.close()
        purse._fleet = fleet
        await purse.close()
        assert (await fleet.account("acme")).leased_micro == 0


async def test_leases_of_an_edge_that_died_come_back_by_another(tmp_path: Path) -> None:
    clock = Clock()
    async with node(tmp_path, micro=100) as stores:
        dead = wallet(stores, clock, "dead")
        await dead.reserve(PREPAID, 100)
        alive = wallet(stores, clock, "alive")
        clock.seconds += 130
        await CreditStore(stores.fleet).expire(before="2026-03-01T12:17:50Z", now="2026-03-01T12:18:00Z")
        await alive.reserve(PREPAID, 100)


async def test_leases_that_were_closed_long_ago_are_deleted_as_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    clock = Clock()
    async with node(tmp_path, micro=100) as stores:
        purse, store = wallet(stores, clock), CreditStore(stores.fleet)
        (await purse.reserve(PREPAID, 40)).settle(0)
        await purse.close()
        clock.seconds += timedelta(days=8).total_seconds()
        with anyio.move_on_after(0.5):
            await purse.run()
        assert await store.forget_closed("2027-01-01") == 0


@pytest.mark.parametrize(
    ("micro", "text"),
    [(0, "0"), (1, "0.000001"), (1_500_000, "1.5"), (100_000_000, "100"), (-20, "-0.00002")],
)
def test_amounts_are_written_in_units(micro: int, text: str) -> None:
    assert units(micro) == text


async def test_what_does_not_count_after_all_is_free_again(tmp_path: Path) -> None:
    async with node(tmp_path, micro=100) as stores:
        purse = wallet(stores, Clock())
        reservation = await purse.reserve(PREPAID, 60)
        assert reservation.lease is not None
        event = usage_event(tenant_id="acme", charged_micro=reservation.settle(60))
        left = reservation.lease.free
        for lease_id in (None, "lease_of_another"):
            purse.refund(event._replace(lease_id=lease_id))
        assert reservation.lease.free == left
        purse.refund(event._replace(lease_id=reservation.lease_id))
        assert reservation.lease.free == left + 60
