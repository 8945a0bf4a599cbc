"""Tenants: who owns keys, and how what they use is paid for."""

import enum
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from edge.store import TenantRow, TenantStore
from shared.clock import rfc3339

DEFAULT_TENANT = "default"
"""Always there, unmetered: the owner of keys for which no other tenant was named."""

ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LONGEST_NAME = 200
PAGE = 500


class Billing(enum.StrEnum):
    """How a tenant pays: before, after, or not at all."""

    PREPAID = "prepaid"
    POSTPAID = "postpaid"
    UNMETERED = "unmetered"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be used: requests and tokens in a minute, requests at a time. None is no limit here."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant. ``limits`` hold for all its keys together; ``created_at`` is RFC 3339 in UTC."""

    id: str
    name: str
    billing: Billing
    limits: Limits
    created_at: str


class TenantExists(Exception):
    """There is a tenant of this id already."""


class TenantService:
    """Makes, lists and changes tenants. Every method raises StoreError when the database fails."""

    def __init__(
        self, store: TenantStore, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._now = now

    async def create(
        self,
        tenant_id: str,
        name: str,
        billing: Billing,
        limits: Limits = NO_LIMITS,
    ) -> Tenant:
        """Make a tenant.

        Raises:
            TenantExists: there is one of this id.
            ValueError: the id or the name cannot be one.
        """
        if not ID.fullmatch(tenant_id):
            raise ValueError(f"{tenant_id!r} is no tenant id: up to 64 of a-z, 0-9, '.', '_' and '-'")
        row = TenantRow(tenant_id, checked_name(name), billing.value, rfc3339(self._now()), **asdict(limits))
        if not await self._store.add(row):
            raise TenantExists(f"there is a tenant {tenant_id} already")
        return tenant_from(row)

    async def update(
        self,
        tenant_id: str,
        *,
        name: str | None = None,
        billing: Billing | None = None,
        limits: Mapping[str, int | None] | None = None,
    ) -> Tenant | None:
        """Change what is given of a tenant, and return it; None if there is no such tenant.

        *limits* has the fields of ``Limits`` that change; None takes a limit away.

        Raises:
            ValueError: the name cannot be one.
        """
        values: dict[str, Any] = dict(limits or {})
        if name is not None:
            values["name"] = checked_name(name)
        if billing is not None:
            values["billing"] = billing.value
        row = await self._store.update(tenant_id, values)
        return tenant_from(row) if row is not None else None

    async def find(self, tenant_id: str) -> Tenant | None:
        """Return the tenant of this id."""
        row = await self._store.find(tenant_id)
        return tenant_from(row) if row is not None else None

    async def all(self) -> AsyncIterator[Tenant]:
        """Yield every tenant, by id."""
        after: str | None = None
        while rows := await self._store.page(after=after, limit=PAGE):
            for row in rows:
                yield tenant_from(row)
            after = rows[-1].id


def tenant_from(row: TenantRow) -> Tenant:
    """Return a stored tenant as the rest of the edge sees it."""
    limits = Limits(row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests)
    return Tenant(row.id, row.name, Billing(row.billing), limits, row.created_at)


def checked_name(name: str) -> str:
    """Return *name*, of a tenant or a key.

    Raises:
        ValueError: it is empty, too long, or has control characters.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a name has 1 to {LONGEST_NAME} printable characters")
    return name
