"""Has every prepaid tenant with credits have some of them here before he calls."""

import math
from collections.abc import Sequence

from edge.accounts.holdings import Holdings
from edge.accounts.terms import GRACE, Terms
from edge.store import StandingStore, StoreError

MOST_STANDING = 10_000
"""Leases that an edge holds without calls: of the tenants who were granted credits last."""

STAND_AT_ONCE = 100
"""Leases that one transaction opens."""

SWEEP_SECONDS = 30.0
"""How often all tenants are looked at; in between only those who were granted credits lately are."""


class Standing:
    """Opens leases for tenants who have none here, and fills up those that have become too small."""

    def __init__(self, store: StandingStore, terms: Terms, holdings: Holdings) -> None:
        self._store = store
        self._terms = terms
        self._holdings = holdings
        self._swept_at = -math.inf

    async def round(self) -> None:
        """Look at tenants once.

        Raises:
            StoreError: a database failed.
        """
        started = self._terms.timer()
        sweep = started - self._swept_at >= SWEEP_SECONDS
        try:
            await self._stand(await (self._all() if sweep else self._lately()))
        except StoreError:
            self._swept_at = -math.inf  # what did not answer in time may have opened leases
            raise
        if sweep:
            self._swept_at = started

    async def _all(self) -> list[str]:
        """Return tenants to see to: those whose lease is not known here too, for an answer was lost."""
        terms, held = self._terms, self._holdings.leases
        wanting = await self._store.wanting(terms.holder, terms.lease_micro, limit=MOST_STANDING)
        lost = [one for one in await self._store.tenants_of(terms.holder) if one not in held]
        new = [one for one in wanting if one not in held]
        room = max(MOST_STANDING - len(held) - len(lost), 0)
        return list(dict.fromkeys([*lost, *new[:room], *(one for one in wanting if one in held)]))

    async def _lately(self) -> Sequence[str]:
        """Return tenants to see to after a grant; where there is no room, idle leases give way to them."""
        terms, since = self._terms, self._terms.ago(GRACE)
        return await self._store.wanting(terms.holder, terms.lease_micro, since=since, limit=MOST_STANDING)

    async def _stand(self, tenant_ids: Sequence[str]) -> None:
        for start in range(0, len(tenant_ids), STAND_AT_ONCE):
            ids = [
                one
                for one in tenant_ids[start : start + STAND_AT_ONCE]
                if one not in self._holdings.turns and one not in self._holdings.contested
            ]
            if ids:
                with self._holdings.turn(ids):
                    await self._open(ids)

    async def _open(self, tenant_ids: Sequence[str]) -> None:
        terms, started = self._terms, self._terms.timer()
        rows = await self._store.stand(
            terms.holder, tenant_ids, terms.lease_micro, now=terms.stamp(), expires_at=terms.expiry()
        )
        await self._holdings.take_in(rows, started + terms.lease_seconds)
