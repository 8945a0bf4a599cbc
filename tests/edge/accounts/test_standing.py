import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from edge.accounts import standing as module
from edge.accounts.standing import Standing
from edge.accounts.wallet import Wallet
from edge.errors import InsufficientCredits, StoreUnavailable
from edge.store import (
    Account,
    CreditStore,
    LeaseRow,
    LeaseStore,
    StandingStore,
    StoreError,
    Stores,
    TenantRow,
    TenantStore,
)
from tests.edge.accounts.purses import (
    PREPAID,
    Clock,
    grant,
    kept,
    lease_of,
    line,
    node,
    until,
    wallet,
)
from tests.edge.store.databases import postgresql_database

pytestmark = pytest.mark.anyio

STATED_SECONDS = 2.0
"""Within this time after a grant an edge can serve a tenant by itself, the README says."""


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@asynccontextmanager
async def two_nodes(home: Path, url: str, micro: int = 0) -> AsyncIterator[tuple[Stores, Stores]]:
    async with node(home / "here", url, micro=micro) as here, node(home / "there", url) as there:
        yield here, there


def standing(purse: Wallet, stores: Stores) -> Standing:
    return Standing(StandingStore(stores.fleet), purse._terms, purse._holdings)


def reserve_at_once(purse: Wallet, micro: int) -> None:
    """Reserve without waiting for anything at all."""
    reserving = purse.reserve(PREPAID, micro)
    with pytest.raises(StopIteration):
        reserving.send(None)


async def test_a_tenant_can_call_every_edge_soon_after_a_grant_without_waiting_for_the_database(
    tmp_path: Path, url: str
) -> None:
    async with two_nodes(tmp_path, url) as both:
        purses = [wallet(stores, None, name) for stores, name in zip(both, ("here", "there"), strict=True)]
        async with kept(*purses):
            with pytest.raises(InsufficientCredits):
                await purses[0].reserve(PREPAID, 10)
            await anyio.sleep(0.1)
            await grant(both[0], 10_000)
            await until(lambda: all("acme" in purse._holdings.leases for purse in purses), STATED_SECONDS)
            for purse in purses:
                reserve_at_once(purse, 50)


async def test_a_first_call_is_served_while_the_database_hangs(tmp_path: Path, url: str) -> None:
    async with node(tmp_path, url, micro=10_000) as stores:
        purse = wallet(stores)
        with psycopg.connect(url) as other:
            async with kept(purse):
                await until(lambda: "acme" in purse._holdings.leases)
                locking = threading.Thread(
                    target=other.execute, args=("LOCK TABLE balances, leases, tenants",)
                )
                locking.start()
                await anyio.to_thread.run_sync(locking.join)
                await anyio.sleep(1.1)  # every round is stuck
                reserve_at_once(purse, 100)
                with pytest.raises(StoreUnavailable):
                    await purse.reserve(PREPAID, 100)
            other.rollback()


async def test_a_lease_stands_after_it_was_idle_and_without_the_database(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with node(tmp_path, url, micro=10_000) as stores:
        purse = wallet(stores, clock)
        await standing(purse, stores).round()
        for _ in range(8):
            clock.seconds += 20
            await purse._upkeep.tend()
        line(stores).cut = True
        clock.seconds += 30
        reserve_at_once(purse, 100)


async def test_a_lease_that_stands_is_filled_up_when_it_was_used(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with node(tmp_path, url, micro=10_000) as stores:
        purse = wallet(stores, clock)
        rounds = standing(purse, stores)
        await rounds.round()
        lease = lease_of(purse)
        await rounds.round()
        assert lease.granted == 100
        spent = "UPDATE leases SET spent_micro = 60"
        with psycopg.connect(url) as connection:
            connection.execute(spent)
        clock.seconds += 31
        await rounds.round()
        assert (lease_of(purse), lease.granted) == (lease, 160)


class Unheard(StandingStore):
    """Opens leases, and the answer is lost."""

    async def stand(self, *arguments: Any, **times: Any) -> Sequence[LeaseRow]:
        await super().stand(*arguments, **times)
        raise StoreError("no answer")


async def test_a_tenant_whose_lease_was_opened_unheard_can_call(tmp_path: Path, url: str) -> None:
    async with node(tmp_path, url) as stores:
        purse = wallet(stores, Clock())
        rounds = standing(purse, stores)
        await rounds.round()
        await grant(stores, 10_000)
        rounds._store = Unheard(stores.fleet)
        with pytest.raises(StoreError):
            await rounds.round()
        rounds._store = StandingStore(stores.fleet)
        assert purse._holdings.leases == {}
        await rounds.round()
        reserve_at_once(purse, 100)
        assert await CreditStore(stores.fleet).account("acme") == Account(9_900, 100)


async def test_a_call_that_needs_more_waits_for_the_lease_that_is_being_opened(
    tmp_path: Path, url: str
) -> None:
    async with node(tmp_path, url, micro=10_000) as stores:
        purse = wallet(stores, Clock())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(standing(purse, stores).round)
            await until(lambda: "acme" in purse._holdings.turns)
            await purse.reserve(PREPAID, 100)
            await purse.reserve(PREPAID, 1000)
        await until(lambda: not purse._holdings.turns)
        held = (await CreditStore(stores.fleet).account("acme")).leased_micro
        assert lease_of(purse).granted == held


async def test_whose_credits_others_need_has_no_lease_standing_for_a_while(tmp_path: Path, url: str) -> None:
    clock = Clock()
    async with node(tmp_path, url, micro=10_000) as stores:
        purse = wallet(stores, clock)
        rounds = standing(purse, stores)
        await rounds.round()
        await LeaseStore(stores.fleet).recall([lease_of(purse).id], "2026-03-01T12:00:00Z")
        await purse._upkeep.answer()
        for seconds in (0, 31):
            clock.seconds += seconds
            await rounds.round()
            assert lease_of(purse).free == 0
        clock.seconds += 30
        await rounds.round()
        assert lease_of(purse).free == 100


async def test_there_is_room_for_so_many_and_who_was_granted_credits_last_comes_first(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_STANDING", 2)
    monkeypatch.setattr(module, "STAND_AT_ONCE", 1)
    async with node(tmp_path, url, micro=10_000) as stores:
        for name in "abc":
            await TenantStore(stores.fleet).add(TenantRow(name, name, "prepaid", "2026-03-01T12:00:00Z"))
            await anyio.sleep(0.002)
            await grant(stores, 10_000, name)
        clock = Clock()
        purse = wallet(stores, clock)
        rounds = standing(purse, stores)
        await rounds.round()
        assert set(purse._holdings.leases) == {"c", "b"}
        await grant(stores, 10_000, "a")
        await rounds.round()
        assert set(purse._holdings.leases) == {"a", "b", "c"}
        clock.seconds += 61
        await rounds.round()
        assert set(purse._holdings.leases) == {"a", "b", "c"}


async def test_a_node_without_a_fleet_has_nothing_standing(tmp_path: Path) -> None:
    async with node(tmp_path, micro=10_000) as stores:
        async with kept(wallet(stores)):
            await anyio.sleep(0.3)
        assert await CreditStore(stores.fleet).account("acme") == Account(10_000, 0)
