"""Whatever happens in whatever order: no credits are lost, made, or spent twice."""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.accounts import wallet as module
from edge.accounts.leases import Reservation
from edge.accounts.standing import Standing
from edge.errors import InsufficientCredits, StoreUnavailable
from edge.store import (
    Account,
    CreditStore,
    Database,
    LeaseRow,
    OutboxStore,
    StandingStore,
    StoreError,
    Stores,
)
from edge.store.leases import LEASE
from edge.store.tables import leases, ledger
from tests.edge.accounts.purses import PREPAID, Clock, Line, line, node, settle, ship_all, wallet
from tests.edge.store.databases import postgresql_database
from tests.edge.store.lease_steps import explained

STEPS = 60
AT_ONCE = 3


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


class Edge:
    """One edge, to which things happen."""

    def __init__(self, stores: Stores, holder: str, clock: Clock, chance: random.Random) -> None:
        self._stores = stores
        self._holder = holder
        self._clock = clock
        self._chance = chance
        self.purse = wallet(stores, clock, holder, lease_micro=200)
        self.calls: list[Reservation] = []
        self.charged = 0

    @property
    def line(self) -> Line:
        return line(self._stores)

    async def call(self) -> None:
        self.calls.append(await self.purse.reserve(PREPAID, self._chance.choice([1, 7, 40, 150])))

    async def end(self) -> None:
        if self.calls:
            reservation = self.calls.pop(self._chance.randrange(len(self.calls)))
            cost = self._chance.randrange(reservation.micro + 1)
            self.charged += cost
            await settle(self._stores, reservation, cost, ship=False)

    async def ship(self) -> None:
        await ship_all(self._stores)

    async def stand(self) -> None:
        store = StandingStore(self._stores.fleet)
        await Standing(store, self.purse._terms, self.purse._holdings).round()

    async def answer(self) -> None:
        await self.purse._upkeep.answer()

    async def tend(self) -> None:
        await self.purse._upkeep.tend()

    async def restart(self) -> None:
        """End without a word, and start again."""
        with anyio.move_on_after(5):
            while self.purse._holdings.turns:
                await anyio.sleep(0.01)
        self.calls = []
        self.purse = wallet(self._stores, self._clock, self._holder, lease_micro=200)
        await self.purse.open()

    async def leave(self) -> None:
        """End well, and start again."""
        await self.ship()
        await self.purse.close()
        await self.restart()

    async def change_line(self) -> None:
        self.line.cut, self.line.mute = self._chance.choice(
            [(False, False)] * 3 + [(True, False), (False, True)]
        )

    def steps(self) -> list[Callable[[], Awaitable[None]]]:
        often = [self.call, self.end, self.call, self.end, self.ship, self.answer, self.answer]
        return [*often, *often, self.stand, self.tend, self.tend, self.change_line]

    async def check(self, database: Database) -> int:
        """Look whether this edge believes to have what it does not have. Return what calls set aside or used
        of leases that ran out meanwhile, because the edge was away."""
        for lease in self.purse._holdings.leases.values():
            row = await lease_row(database, lease.id)
            if row.closed_at is None:
                assert lease.in_use + max(lease.free, 0) <= row.granted_micro
            elif self._clock.seconds < lease.good_until:
                assert lease.free <= 0
        used = [(call.lease_id, call.micro) for call in self.calls]
        used += [
            (event.lease_id, event.charged_micro)
            for event in await OutboxStore(self._stores.local).oldest(1000)
        ]
        return sum(
            [micro for one, micro in used if (await lease_row(database, str(one))).closed_at is not None]
        )


async def charged_late(database: Database) -> int:
    """Return what was charged for calls after their leases had run out: it was not taken from these."""

    async def work(connection: AsyncConnection) -> int:
        used = select(-func.sum(ledger.c.amount_micro)).where(ledger.c.kind == "usage")
        spent = select(func.sum(leases.c.spent_micro))
        return int((await connection.execute(used)).scalar() or 0) - int(
            (await connection.execute(spent)).scalar() or 0
        )

    return await database.read(work)


async def lease_row(database: Database, lease_id: str) -> LeaseRow:
    statement = select(*LEASE).where(LEASE[0] == lease_id)
    return LeaseRow(*(await database.read(lambda connection: connection.execute(statement))).one())


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(6))
async def test_no_credits_are_lost_or_made_or_spent_twice(
    tmp_path: Path, url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFUSAL_SECONDS", 0.01)
    monkeypatch.setattr(module, "RECALL_SECONDS", 0.03)
    chance, clock, granted = random.Random(seed), Clock(), 900
    async with node(tmp_path / "a", url, micro=granted) as one, node(tmp_path / "b", url) as two:
        edges = [Edge(stores, name, clock, chance) for stores, name in ((one, "a"), (two, "b"))]
        database = edges[0].line._database

        async def quietly(step: Callable[[], Awaitable[None]]) -> None:
            with suppress(StoreError, StoreUnavailable, InsufficientCredits):
                await step()

        for _ in range(STEPS):
            clock.seconds += chance.choice([0, 0, 0.3, 1, 6, 61, 20])
            if chance.random() < 0.05:
                clock.seconds += 200
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(quietly, chance.choice(chance.choice(edges).steps()))
            if chance.random() < 0.1:
                with suppress(StoreError):
                    await chance.choice([edges[0].restart, edges[1].restart, edges[0].leave])()
            assert await explained(database, "acme")
            late = await charged_late(database)
            for edge in edges:
                while edge.purse._holdings.turns:
                    await anyio.sleep(0.001)
                late += await edge.check(database)
            out = sum(edge.charged + sum(call.micro for call in edge.calls) for edge in edges)
            assert out <= granted + late

        for edge in edges:
            edge.line.cut = edge.line.mute = False
            while edge.calls:
                await edge.end()
            await edge.ship()
        clock.seconds += 200
        for edge in edges:
            await edge.tend()
            await edge.purse.close()
        spent = sum(edge.charged for edge in edges)
        assert await CreditStore(database).account("acme") == Account(granted - spent, 0)
