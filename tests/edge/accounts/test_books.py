import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import psycopg
import pytest

from edge.accounts.books import open_books
from edge.accounts.credits import CreditService
from edge.settings import EdgeSettings
from edge.store import CreditStore, OutboxStore, TenantRow, TenantStore, UsageStore, open_fleet, open_stores
from tests.edge.accounts.killed_edge import AT_A_TIME, named_call, open_idempotency, speaking
from tests.edge.store.databases import Place

GRANTED = 10**9
COST = 5
KILLS = 20


def kill(place: Place, seconds: float, named: Sequence[int] = ()) -> list[bytes]:
    """Run an edge's books until some time after its first call, kill it, and return what it answered."""
    command = [sys.executable, "-m", "tests.edge.accounts.killed_edge", str(place.home)]
    environment = os.environ | ({"NAMED": json.dumps(named)} if named else {})
    with subprocess.Popen(
        [*command, *filter(None, [place.url])], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        rest = process.stdout.read()
    assert process.returncode == -9, first
    return [line for line in (first + rest).splitlines() if line.startswith(b"answered")]


async def prepare(place: Place) -> None:
    async with open_fleet(place.home, place.url) as database:
        await TenantStore(database).add(TenantRow("acme", "Acme", "prepaid", "2026-03-01T12:00:00Z"))
        await CreditService(CreditStore(database)).grant("acme", GRANTED)


async def settled(place: Place) -> tuple[int, int, int]:
    """Start the books again and end them well; return calls counted, credits left, and the ledger's sum."""
    async with open_stores(place.home, place.url) as stores:
        async with open_books(stores, EdgeSettings(home=place.home)):
            pass
        assert await OutboxStore(stores.local).size() == 0
        days = await UsageStore(stores.fleet).days(
            start="2000-01-01", end="2999-12-31", tenant_id="acme", key_id=None, limit=100
        )
        store = CreditStore(stores.fleet)
        account = await store.account("acme")
        assert account.leased_micro == 0
        entries = await store.ledger("acme", limit=10**6)
    return (
        sum(total.requests for _, total in days),
        account.credits_micro,
        sum(entry.amount_micro for entry in entries),
    )


@pytest.mark.timeout(240)
def test_no_settled_call_is_lost_or_counted_twice_however_often_an_edge_is_killed(place: Place) -> None:
    anyio.run(prepare, place)
    chance = random.Random(os.environ.get("PYTHONHASHSEED", "1"))
    kills = KILLS if place.url is None else KILLS // 2
    answered = sum(len(kill(place, chance.uniform(0, 0.3))) for _ in range(kills))

    counted, left, explained = anyio.run(settled, place)

    assert answered > kills
    # Each kill may come between the commit of a call and its last byte.
    assert answered <= counted <= answered + kills * 8 * 2
    assert left == explained == GRANTED - counted * COST


async def finish(place: Place, named: Sequence[int]) -> None:
    """Ask for what was asked for last once more."""
    settings = EdgeSettings(home=place.home)
    async with open_stores(place.home, place.url) as stores, open_books(stores, settings) as books:
        for caller, number in enumerate(named):
            name = f"{caller} {number}"
            await named_call(open_idempotency(stores), books.metering, speaking(), name)


@pytest.mark.timeout(240)
def test_what_has_a_name_is_charged_once_however_often_an_edge_is_killed_at_it(place: Place) -> None:
    anyio.run(prepare, place)
    chance = random.Random(os.environ.get("PYTHONHASHSEED", "1"))
    kills = KILLS if place.url is None else KILLS // 2
    done = [0] * AT_A_TIME
    for _ in range(kills):
        for line in kill(place, chance.uniform(0, 0.3), done):
            _, caller, number = line.split()
            done[int(caller)] = int(number) + 1
    anyio.run(finish, place, done)

    counted, left, explained = anyio.run(settled, place)

    assert counted == sum(done) + AT_A_TIME > kills
    assert left == explained == GRANTED - counted * COST


@pytest.mark.anyio
async def test_a_first_call_after_a_grant_is_whole_while_the_database_of_the_fleet_hangs(
    tmp_path: Path, postgresql: str
) -> None:
    place = Place(tmp_path, postgresql)
    await prepare(place)
    async with open_stores(place.home, place.url) as stores:
        async with open_books(stores, EdgeSettings(home=place.home)) as books:
            with anyio.fail_after(2):
                while (await books.credits.account("acme")).leased_micro == 0:
                    await anyio.sleep(0.05)
            async with await psycopg.AsyncConnection.connect(postgresql) as other:
                await other.execute("LOCK TABLE balances, leases")
                with anyio.fail_after(1):
                    async with books.metering.call(speaking()) as stream:
                        _ = [event async for event in stream]
                await other.rollback()
        account = await CreditStore(stores.fleet).account("acme")
    assert (account.credits_micro, account.leased_micro) == (GRANTED - COST, 0)
