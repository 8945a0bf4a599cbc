"""Wallets for tests, and what they need."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from edge.accounts import Billing, Limits, Tenant
from edge.accounts.credits import CreditService
from edge.accounts.leases import Lease, Reservation
from edge.accounts.wallet import Wallet
from edge.errors import InsufficientCredits
from edge.store import (
    CreditStore,
    Database,
    OutboxStore,
    StoreError,
    Stores,
    TenantRow,
    TenantStore,
    UsageStore,
    open_stores,
)
from tests.edge.store.usage_events import usage_event

PREPAID = Tenant("acme", "Acme", Billing.PREPAID, Limits(), "2026-03-01T12:00:00Z")


class Clock:
    """A clock of both kinds that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def timer(self) -> float:
        return self.seconds


class Line(Database):
    """A way to a database: it can be ``cut``, or lose (``mute``) the answers to what is done all the same."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.cut = False
        self.mute = False
        self.asked = 0

    async def read(self, work: Any) -> Any:
        return await self._pass(lambda: self._database.read(work))

    async def write(self, work: Any) -> Any:
        return await self._pass(lambda: self._database.write(work))

    async def write_sync(self, work: Any) -> Any:
        return await self._pass(lambda: self._database.write_sync(work))

    async def migrate(self) -> None:
        await self._database.migrate()

    async def _pass(self, do: Callable[[], Awaitable[Any]]) -> Any:
        self.asked += 1
        if self.cut:
            raise StoreError("gone")
        answer = await do()
        if self.mute:
            raise StoreError("no answer")
        return answer


@asynccontextmanager
async def node(home: Path, url: str | None = None, *, micro: int = 0) -> AsyncIterator[Stores]:
    """Open the stores of a node where the tenant was granted *micro*; the way to a fleet is a ``Line``."""
    async with open_stores(home, url) as stores:
        if stores.in_fleet:
            await stores.fleet.migrate()
            stores = Stores(stores.local, Line(stores.fleet))
        await TenantStore(stores.fleet).add(TenantRow("acme", "Acme", "prepaid", "2026-03-01T12:00:00Z"))
        if micro:
            await grant(stores, micro)
        yield stores


def line(stores: Stores) -> Line:
    assert isinstance(stores.fleet, Line)
    return stores.fleet


async def grant(stores: Stores, micro: int, tenant_id: str = "acme") -> None:
    await CreditService(CreditStore(stores.fleet)).grant(tenant_id, micro)


def wallet(
    stores: Stores, clock: Clock | None = None, holder: str = "here", lease_micro: int = 100
) -> Wallet:
    clocks: dict[str, Any] = {} if clock is None else {"now": clock.now, "timer": clock.timer}
    return Wallet(stores, holder, lease_micro=lease_micro, lease_seconds=60, **clocks)


def lease_of(purse: Wallet) -> Lease:
    return purse._holdings.leases["acme"]


@asynccontextmanager
async def kept(*purses: Wallet) -> AsyncIterator[None]:
    """Have the leases of wallets kept in order meanwhile."""
    async with anyio.create_task_group() as tasks:
        for purse in purses:
            tasks.start_soon(purse.run)
        yield
        tasks.cancel_scope.cancel()


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until *true*; fail after *seconds*."""
    with anyio.fail_after(seconds):
        while not true():
            await anyio.sleep(0.01)


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


async def settle(stores: Stores, reservation: Reservation, cost: int, *, ship: bool = True) -> None:
    """End a call that cost so much: on the disk, and with *ship* in the fleet's ledger."""
    event = usage_event(
        tenant_id="acme", lease_id=reservation.lease_id, charged_micro=reservation.settle(cost)
    )
    outbox = OutboxStore(stores.local)
    await outbox.settle([event])
    if ship:
        await ship_all(stores)


async def ship_all(stores: Stores) -> None:
    """Bring what has been settled to the fleet."""
    outbox = OutboxStore(stores.local)
    events = await outbox.oldest(1000)
    await UsageStore(stores.fleet).take_in(events, "2026-03-01T12:00:00.000Z")
    await outbox.forget(events)
