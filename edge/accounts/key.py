"""A key, its raw text and its digest."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from edge.accounts.scopes import Scope
from edge.accounts.tenants import NO_LIMITS, Limits, Tenant, tenant_from
from edge.store import KeyRow, OwnedKey
from shared.clock import rfc3339

PREFIX = "pg_"
RANDOM_BYTES = 32
LONGEST_KEY = 256
"""Characters; nothing longer is hashed or looked up."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its owner may see it; the raw text is not part of it. Times are RFC 3339 in UTC.

    ``models`` are ids of models, ``regions`` ids of edges that it may be used for; None is all of them.
    ``limits`` hold for this key, those of ``tenant`` for all its keys together. ``rotated_from`` is the id of
    the key that it takes over from.
    """

    id: str
    tenant: Tenant
    name: str
    scopes: frozenset[Scope]
    created_at: str
    models: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    limits: Limits = NO_LIMITS
    expires_at: str | None = None
    revoked_at: str | None = None
    rotated_from: str | None = None

    @property
    def tenant_id(self) -> str:
        return self.tenant.id

    @property
    def superadmin(self) -> bool:
        return Scope.SUPERADMIN in self.scopes

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= rfc3339(now)

    def active(self, now: datetime) -> bool:
        """Whether it opens anything: neither revoked nor expired."""
        return self.revoked_at is None and not self.expired(now)

    def opens(self, scopes: frozenset[Scope]) -> bool:
        """Whether it opens what is open to any of *scopes*."""
        return not self.scopes.isdisjoint(scopes)

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models

    def may_be_used_in(self, region: str) -> bool:
        return self.regions is None or region in self.regions


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the ``raw`` text that is shown this once."""

    key: Key
    raw: str


def new_raw() -> str:
    """Return the text of a new key: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest(raw: str) -> str:
    """Return the hex SHA-256 of a raw key. Plain hashing is enough: the key is 256 random bits."""
    return hashlib.sha256(raw.encode("utf-8", "replace")).hexdigest()


def key_from(owned: OwnedKey) -> Key:
    """Return a stored key as the rest of the edge sees it."""
    row, tenant = owned
    return Key(
        id=row.id,
        tenant=tenant_from(tenant),
        name=row.name,
        scopes=frozenset(Scope(word) for word in row.scopes.split()),
        created_at=row.created_at,
        models=_words(row.models),
        regions=_words(row.regions),
        limits=Limits(row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        rotated_from=row.rotated_from,
    )


def key_row(key: Key, sha256: str) -> KeyRow:
    """Return *key* as it is stored, under the digest of its raw text."""
    return KeyRow(
        id=key.id,
        tenant_id=key.tenant_id,
        name=key.name,
        sha256=sha256,
        scopes=" ".join(sorted(key.scopes)),
        created_at=key.created_at,
        models=_joined(key.models),
        regions=_joined(key.regions),
        requests_per_minute=key.limits.requests_per_minute,
        tokens_per_minute=key.limits.tokens_per_minute,
        concurrent_requests=key.limits.concurrent_requests,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        rotated_from=key.rotated_from,
    )


def _words(joined: str | None) -> frozenset[str] | None:
    return frozenset(joined.split()) if joined is not None else None


def _joined(words: frozenset[str] | None) -> str | None:
    return " ".join(sorted(words)) if words is not None else None
