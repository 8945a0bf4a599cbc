from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from edge.accounts import Billing, Limits, Tenant
from edge.accounts import upkeep as upkeep_module
from edge.accounts.wallet import Wallet, units
from edge.errors import InsufficientCredits, StoreUnavailable
from edge.store import Account, CreditStore, LeaseRow, LeaseStore, Short, Wish
from tests.edge.accounts.purses import (
    PREPAID,
    Clock,
    grant,
    kept,
    line,
    node,
    reserve_all,
    wallet,
)
from tests.edge.store.databases import postgresql_database
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("in_fleet", [False, True])
@pytest.mark.parametrize("lease_micro", [1, 30, 10_000])
async def test_of_64_calls_at_once_credits_for_10_run_exactly_10(
    tmp_path: Path, in_fleet: bool, lease_micro: int
) -> None:
    with postgresql_database() as url:
        async with node(tmp_path, url if in_fleet else None, micro=107) as stores:
            purse = wallet(stores, Clock(), lease_micro=lease_micro)
            assert len(await reserve_all(purse, 10, 64)) == 10


async def test_two_edges_of_one_node_spend_all_that_there_is_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_module, "ROUND_SECONDS", 0.05)
    async with node(tmp_path, micro=100) as stores:
        purses = [wallet(stores, None, holder, 1) for holder in ("here", "there")]
        counts = []

        async def rush(purse: Wallet) -> None:
            counts.append(len(await reserve_all(purse, 7, 30)))

        async with kept(*purses), anyio.create_task_group() as tasks:
            for purse in purses:
                tasks.start_soon(rush, purse)
        assert sum(counts) == 14


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
        await grant(stores, 5)
        clock.seconds += 0.3
        await purse.reserve(PREPAID, 10)


async def test_calls_go_on_without_the_fleet_until_the_lease_is_used_up(tmp_path: Path) -> None:
    clock = Clock()
    with postgresql_database() as url:
        async with node(tmp_path, url, micro=1000) as stores:
            purse = wallet(stores, clock)
            await purse.reserve(PREPAID, 10)
            await anyio.sleep(0.3)  # it draws ahead
            line(stores).cut, before = True, line(stores).asked
            served = 0
            with suppress(StoreUnavailable):
                while served < 100:
                    await purse.reserve(PREPAID, 10)
                    served += 1
            assert 10 <= served < 100
            assert line(stores).asked > before


class Slow(LeaseStore):
    async def draw(self, wish: Wish, **times: Any) -> LeaseRow | Short:
        await anyio.sleep(0.2)
        return await super().draw(wish, **times)


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
    with postgresql_database() as url:
        async with node(tmp_path, url, micro=1000) as stores:
            purse = wallet(stores, clock)
            await purse.reserve(PREPAID, 10)
            line(stores).cut = True
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
