from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from edge.errors import StoreUnavailable
from edge.store import HeldLeases, LeaseRow, StoreError
from tests.edge.accounts.purses import PREPAID, Clock, lease_of, node, until, wallet
from tests.edge.store.databases import postgresql_database
from tests.edge.store.lease_steps import NOW, SOON

pytestmark = pytest.mark.anyio


async def test_who_waits_for_a_tenants_turn_learns_at_once_that_the_database_failed(tmp_path: Path) -> None:
    async with node(tmp_path, micro=100) as stores:
        purse = wallet(stores, Clock())
        told: list[str] = []

        async def call() -> None:
            with pytest.raises(StoreUnavailable):
                await purse.reserve(PREPAID, 10)
            told.append("failed")

        async with anyio.create_task_group() as tasks:
            with suppress(StoreError), purse._holdings.turn(["acme", "other"]):
                tasks.start_soon(call)
                await anyio.sleep(0.05)
                assert not told
                raise StoreError("gone")
            await until(lambda: bool(told))
        assert purse._holdings.turns == {}
        await purse.reserve(PREPAID, 10)


async def test_a_lease_of_its_own_that_an_edge_did_not_know_is_taken_up_without_what_was_spent(
    tmp_path: Path,
) -> None:
    with postgresql_database() as url:
        async with node(tmp_path, url) as stores:
            purse, held = wallet(stores, Clock()), HeldLeases(stores.local)
            rows = [LeaseRow(f"l{n}", "acme", "here", 100, 0, 30 * n, NOW, SOON) for n in range(2)]
            await purse._holdings.take_in(rows[:1], 2000)
            assert lease_of(purse).free == 100
            await purse._holdings.take_in(rows[1:], 2000)
            assert (lease_of(purse).id, lease_of(purse).free) == ("l1", 70)
            assert [(row.id, row.settled_micro) for row in await held.of("here")] == [("l1", 30)]
