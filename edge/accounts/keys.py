"""Making, listing, rotating and revoking keys, in the database that all edges of a fleet share."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from edge.accounts.key import Key, NewKey, digest, key_from, key_row, new_raw
from edge.accounts.scopes import Scope
from edge.accounts.tenants import DEFAULT_TENANT, NO_LIMITS, Limits, checked_name, tenant_from
from edge.store import KeyStore, TenantStore
from shared.clock import rfc3339

PAGE = 500

DEFAULT_OVERLAP = timedelta(days=1)
"""How long a rotated key goes on beside the one that takes over."""

LONGEST_OVERLAP = timedelta(days=90)


class NoSuchTenant(Exception):
    """There is no tenant of this id."""


class NoSuchKey(Exception):
    """There is no key of this id, or not of this tenant."""


class KeyEnded(Exception):
    """The key has been revoked or has expired."""


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """What a new key is to be like; the fields are those of ``Key``."""

    name: str
    scopes: frozenset[Scope]
    tenant_id: str = DEFAULT_TENANT
    models: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    limits: Limits = NO_LIMITS
    expires_at: datetime | None = None


class KeyService:
    """Makes, lists, rotates and revokes keys. Every method raises StoreError when the database fails.

    A *tenant_id* keeps a call to the keys of one tenant; None is all of them.
    """

    def __init__(
        self,
        keys: KeyStore,
        tenants: TenantStore,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._tenants = tenants
        self._now = now

    async def create(self, order: KeyOrder) -> NewKey:
        """Make a key.

        Raises:
            NoSuchTenant: there is no tenant of that id.
            ValueError: the name is empty or too long, or the key would have expired already.
        """
        now = self._now()
        if order.expires_at is not None and order.expires_at <= now:
            raise ValueError("its expiry is in the past")
        tenant = await self._tenants.find(order.tenant_id)
        if tenant is None:
            raise NoSuchTenant(f"there is no tenant {order.tenant_id}")
        key = Key(
            id=_new_id(),
            tenant=tenant_from(tenant),
            name=checked_name(order.name),
            scopes=order.scopes,
            created_at=rfc3339(now),
            models=order.models,
            regions=order.regions,
            limits=order.limits,
            expires_at=rfc3339(order.expires_at) if order.expires_at is not None else None,
        )
        raw = new_raw()
        await self._keys.add(key_row(key, digest(raw)))
        return NewKey(key, raw)

    async def rotate(
        self, key_id: str, *, overlap: timedelta = DEFAULT_OVERLAP, tenant_id: str | None = None
    ) -> NewKey:
        """Make a key that is like *key_id* but for its text, which goes on beside it for *overlap*.

        The new one expires when the old one would have.

        Raises:
            NoSuchKey: there is no such key.
            KeyEnded: it has been revoked or has expired.
            ValueError: the overlap is negative or too long.
        """
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise ValueError(f"the overlap must be from 0 to {LONGEST_OVERLAP.days} days")
        old = await self.get(key_id, tenant_id=tenant_id)
        now = self._now()
        key = replace(old, id=_new_id(), created_at=rfc3339(now), revoked_at=None, rotated_from=old.id)
        raw = new_raw()
        until = rfc3339(now + overlap)
        if not await self._keys.replace(old.id, key_row(key, digest(raw)), until=until, at=rfc3339(now)):
            raise KeyEnded(f"the key {key_id} has ended; make a new one")
        return NewKey(key, raw)

    async def get(self, key_id: str, *, tenant_id: str | None = None) -> Key:
        """Return a key, also one that has ended.

        Raises:
            NoSuchKey: there is no such key.
        """
        owned = await self._keys.get(key_id, tenant_id=tenant_id)
        if owned is None:
            raise NoSuchKey(f"there is no key {key_id}")
        return key_from(owned)

    async def page(
        self, *, tenant_id: str | None = None, after: tuple[str, str] | None = None, limit: int
    ) -> list[Key]:
        """Return up to *limit* keys, ended ones too, the oldest first: those after the key of that creation
        time and id."""
        found = await self._keys.page(tenant_id=tenant_id, after=after, limit=limit)
        return [key_from(owned) for owned in found]

    async def all(self, *, tenant_id: str | None = None) -> AsyncIterator[Key]:
        """Yield every key, ended ones too, the oldest first."""
        after = None
        while found := await self.page(tenant_id=tenant_id, after=after, limit=PAGE):
            for key in found:
                yield key
            after = (found[-1].created_at, found[-1].id)

    async def revoke(self, key_id: str, *, tenant_id: str | None = None) -> bool:
        """Revoke a key; False if there is no such key or it is revoked already."""
        return await self._keys.revoke(key_id, rfc3339(self._now()), tenant_id=tenant_id)


def _new_id() -> str:
    return f"key_{secrets.token_hex(8)}"
