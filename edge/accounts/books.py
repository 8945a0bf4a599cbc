"""Keeping account of calls: what they may cost, what they used, what their tenants have left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import structlog

from edge.accounts.credits import CreditService
from edge.accounts.holder import holder_name
from edge.accounts.metering import Metering
from edge.accounts.settlements import Settlements
from edge.accounts.shipping import Shipping
from edge.accounts.usage import UsageService
from edge.accounts.wallet import Wallet
from edge.models.prices import MICRO
from edge.settings import EdgeSettings
from edge.store import CreditStore, OutboxStore, StoreError, Stores, UsageStore

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 3.0
"""How long an edge that ends may take to send on its usage and give back its leases; its next start goes
on with both."""


@dataclass(frozen=True, slots=True)
class Books:
    """What the API asks: ``metering`` runs calls, ``usage`` and ``credits`` tell of them."""

    metering: Metering
    usage: UsageService
    credits: CreditService


@asynccontextmanager
async def open_books(stores: Stores, settings: EdgeSettings) -> AsyncIterator[Books]:
    """Keep account of the calls of one edge.

    Raises:
        StoreError: this node's own file failed.
        OSError: the edge's home cannot be written.
    """
    outbox = OutboxStore(stores.local)
    usage = UsageStore(stores.fleet)
    with holder_name(settings.home, settings.edge_region) as holder:
        wallet = Wallet(
            stores,
            holder,
            lease_micro=round(settings.edge_credit_lease * MICRO),
            lease_seconds=settings.edge_credit_lease_seconds,
        )
        await wallet.open()
        shipping = Shipping(outbox, usage, keep_days=settings.edge_usage_event_days, refund=wallet.refund)
        settlements = Settlements(outbox, wallet.refund)
        async with anyio.create_task_group() as background:
            background.start_soon(shipping.run)
            background.start_soon(wallet.run)
            async with anyio.create_task_group() as writer:
                writer.start_soon(settlements.run)
                yield Books(
                    Metering(wallet, settlements),
                    UsageService(usage, shipping, today=lambda: datetime.now(UTC).date()),
                    CreditService(CreditStore(stores.fleet), shipping),
                )
                settlements.close()
            background.cancel_scope.cancel()
        with anyio.move_on_after(CLOSE_SECONDS):
            await _hand_over(shipping, wallet)


async def _hand_over(shipping: Shipping, wallet: Wallet) -> None:
    try:
        await shipping.flush()
        await wallet.close()
    except StoreError as error:
        log.warning("usage is sent on at the next start", error=str(error))
