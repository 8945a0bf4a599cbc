import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.accounts import shortage as module
from edge.accounts import upkeep as upkeep_module
from edge.accounts.leases import Reservation
from edge.accounts.shortage import AGAIN_SECONDS, RECALL_SECONDS, Outlook, Recalls, Shortage
from edge.accounts.wallet import Wallet
from edge.errors import InsufficientCredits
from edge.store import Account, CreditStore, Elsewhere, Stores
from tests.edge.accounts.purses import PREPAID, Clock, grant, kept, lease_of, node, reserve_all, until, wallet
from tests.edge.store.databases import postgresql_database
from tests.edge.store.lease_steps import explained

HERE, THERE = "here", "there"


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "ROUND_SECONDS", 0.1)


@asynccontextmanager
async def two_edges(
    home: Path, url: str, micro: int, lease_micro: int = 100
) -> AsyncIterator[tuple[Stores, Wallet, Wallet]]:
    """Two edges of a fleet whose leases are kept in order; the tenant is granted *micro* before."""
    async with node(home / HERE, url, micro=micro) as here, node(home / THERE, url) as there:
        purses = wallet(here, None, HERE, lease_micro), wallet(there, None, THERE, lease_micro)
        async with kept(*purses):
            yield here, *purses


async def refused_after(purse: Wallet, micro: int) -> float:
    started = time.monotonic()
    with pytest.raises(InsufficientCredits):
        await purse.reserve(PREPAID, micro)
    return time.monotonic() - started


@pytest.mark.anyio
@pytest.mark.parametrize("share", [0, 16, 32, 60])
@pytest.mark.parametrize("lease_micro", [5, 1000])
async def test_of_64_calls_at_two_edges_credits_for_10_run_exactly_10(
    tmp_path: Path, url: str, share: int, lease_micro: int
) -> None:
    async with two_edges(tmp_path, url, 109, lease_micro) as (stores, here, there):
        await until(lambda: all("acme" in purse._holdings.leases for purse in (here, there)))
        allowed: list[int] = []

        async def rush(purse: Wallet, calls: int) -> None:
            allowed.append(len(await reserve_all(purse, 10, calls)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rush, here, 64 - share)
            tasks.start_soon(rush, there, share)
        assert sum(allowed) == 10
        assert await explained(stores.fleet, "acme")


@pytest.mark.anyio
async def test_round_after_round_the_last_credit_can_be_spent_at_either_edge(
    tmp_path: Path, url: str, quick: None
) -> None:
    chance = random.Random(7)
    allowed: list[Reservation] = []

    async def rush(purse: Wallet, calls: int) -> None:
        allowed.extend(await reserve_all(purse, 10, calls))

    async with two_edges(tmp_path, url, 0) as (stores, here, there):
        for _ in range(12):
            await grant(stores, 100)
            await anyio.sleep(0.3)  # the refusals of before are forgotten
            allowed.clear()
            first = chance.randrange(65)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(rush, here, first)
                tasks.start_soon(rush, there, 64 - first)
            assert len(allowed) == 10
            for reservation in allowed:
                reservation.settle(10)


@pytest.mark.anyio
async def test_what_becomes_free_at_one_edge_can_be_spent_at_the_other(
    tmp_path: Path, url: str, quick: None
) -> None:
    async with two_edges(tmp_path, url, 100) as (_, here, there):
        held = await here.reserve(PREPAID, 100)
        assert await refused_after(there, 90) < RECALL_SECONDS
        held.settle(10)
        await anyio.sleep(0.3)
        await there.reserve(PREPAID, 90)


@pytest.mark.anyio
async def test_a_dead_edge_is_waited_for_once_and_who_has_nothing_not_at_all(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.setattr(module, "RECALL_SECONDS", 0.6)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 5.0)
    async with node(tmp_path / HERE, url, micro=100) as stores:
        dead, alive = wallet(stores, None, THERE), wallet(stores, None, HERE)
        await dead.reserve(PREPAID, 60)
        async with kept(alive):
            await alive.reserve(PREPAID, 30)
            assert 0.5 < await refused_after(alive, 50) < RECALL_SECONDS
            for _ in range(4):
                await anyio.sleep(0.3)
                assert await refused_after(alive, 50) < 0.3
            assert await refused_after(alive, 1000) < 0.3
            await alive.reserve(PREPAID, 10)


@pytest.mark.anyio
async def test_a_tenant_who_has_nothing_is_refused_at_once(tmp_path: Path, url: str) -> None:
    async with two_edges(tmp_path, url, 0) as (_, here, _):
        for _ in range(3):
            assert await refused_after(here, 10) < 0.3
            await anyio.sleep(0.3)


@pytest.mark.anyio
async def test_a_draw_ahead_recalls_nothing(tmp_path: Path, url: str) -> None:
    async with node(tmp_path, url, micro=100) as stores:
        here, there = wallet(stores, Clock(), HERE), wallet(stores, Clock(), THERE)
        (await there.reserve(PREPAID, 50)).settle(0)
        await until(lambda: not there._holdings.turns)
        await here.reserve(PREPAID, 100 - (await CreditStore(stores.fleet).account("acme")).leased_micro)
        await until(lambda: not here._holdings.turns and not there._holdings.turns)
        assert await there._upkeep._fleet.recalled(THERE) == []


@pytest.mark.anyio
async def test_a_call_waits_for_what_its_own_edge_is_giving_up(tmp_path: Path, url: str) -> None:
    async with node(tmp_path, url, micro=100) as stores:
        purse = wallet(stores, Clock())
        (await purse.reserve(PREPAID, 100)).settle(0)
        lease_of(purse).lower(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(purse.reserve, PREPAID, 50)
            await anyio.sleep(0.1)
            await purse._upkeep.answer()
        assert lease_of(purse).reserved == 50


@pytest.mark.anyio
async def test_of_credits_that_others_need_only_what_a_call_needs_is_drawn(tmp_path: Path, url: str) -> None:
    async with node(tmp_path, url, micro=1000) as stores:
        purse = wallet(stores, Clock())
        purse._holdings.contested["acme"] = True
        await purse.reserve(PREPAID, 10)
        assert purse._holdings.turns == {}
        assert await CreditStore(stores.fleet).account("acme") == Account(990, 10)


ONCE, LATER = "2026-03-01T12:00:00Z", "2026-03-01T12:00:09Z"


def elsewhere(lease_id: str = "lease_1", *, recalled_at: str | None = None) -> list[Elsewhere]:
    return [Elsewhere(lease_id, 10, recalled_at)]


def test_a_lease_is_recalled_once_in_a_while_and_waited_for_until_it_is_answered() -> None:
    clock = Clock()
    recalls = Recalls(clock.timer)
    assert recalls.due(elsewhere()) == ["lease_1"]
    assert recalls.hopeful(elsewhere())
    assert recalls.due(elsewhere()) == []
    assert recalls.hopeful(elsewhere(recalled_at=ONCE))
    clock.seconds += RECALL_SECONDS - 0.1
    assert recalls.hopeful(elsewhere(recalled_at=ONCE))
    assert not recalls.hopeful(elsewhere()), "it has answered"
    clock.seconds += AGAIN_SECONDS
    assert recalls.due(elsewhere()) == ["lease_1"]


def test_a_lease_that_does_not_come_is_not_waited_for_again() -> None:
    clock = Clock()
    recalls = Recalls(clock.timer)
    assert recalls.hopeful(elsewhere(recalled_at=ONCE)), "another edge has asked"
    for seconds in (RECALL_SECONDS, AGAIN_SECONDS - 1, AGAIN_SECONDS * 20):
        clock.seconds += seconds
        assert recalls.due(elsewhere(recalled_at=ONCE)) == []
        assert not recalls.hopeful(elsewhere(recalled_at=ONCE))
    assert recalls.hopeful([*elsewhere(recalled_at=ONCE), *elsewhere("lease_2", recalled_at=ONCE)])
    assert recalls.hopeful(elsewhere(recalled_at=LATER)), "it has answered meanwhile"


@given(st.integers(0, 99), st.integers(0, 99), st.sampled_from([None, True, False]), st.integers(1, 250))
def test_a_call_waits_only_for_what_may_come(left: int, more: int, hopeful: bool | None, micro: int) -> None:
    outlook = Shortage(left, left + more, hopeful).outlook(micro)
    if micro <= left:
        assert outlook is Outlook.ASK
    elif micro > left + more or hopeful is False:
        assert outlook is Outlook.NONE
    else:
        assert outlook is (Outlook.ASK if hopeful is None else Outlook.WAIT)
