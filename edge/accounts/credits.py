"""What tenants have: granted, shown, explained by the ledger."""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from edge.accounts.keys import NoSuchTenant
from edge.accounts.shipping import Shipping
from edge.store import Account, CreditStore, LedgerRow
from shared.clock import rfc3339


class CreditService:
    """Every method raises StoreError when the database fails. Amounts are in micro-units.

    At an edge, *shipping* brings into the ledger what it has not sent on yet.
    """

    def __init__(
        self,
        store: CreditStore,
        shipping: Shipping | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._shipping = shipping
        self._now = now

    async def grant(self, tenant_id: str, micro: int, note: str = "") -> LedgerRow:
        """Give a tenant credits, or take some away, and return the entry of the ledger.

        Raises:
            NoSuchTenant: there is no tenant of that id.
            ValueError: the amount is zero.
        """
        if micro == 0:
            raise ValueError("the amount must not be zero")
        row = LedgerRow(
            id=f"led_{secrets.token_hex(12)}",
            tenant_id=tenant_id,
            at=rfc3339(self._now(), timespec="milliseconds"),
            kind="grant",
            amount_micro=micro,
            lease_id=None,
            note=note,
        )
        if not await self._store.grant(row):
            raise NoSuchTenant(f"there is no tenant {tenant_id}")
        return row

    async def account(self, tenant_id: str) -> Account:
        """Return what a tenant has."""
        if self._shipping is not None:
            await self._shipping.catch_up()
        return await self._store.account(tenant_id)

    async def ledger(
        self, tenant_id: str, *, before: tuple[str, str] | None = None, limit: int
    ) -> Sequence[LedgerRow]:
        """Return up to *limit* changes, the newest first: those before the one of that time and id."""
        return await self._store.ledger(tenant_id, before=before, limit=limit)
