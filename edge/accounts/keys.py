"""API keys: made, shown once, found again by their digest."""

import enum
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cachetools import TTLCache

from edge.store import KeyRow, KeyStore
from shared.clock import rfc3339

PREFIX = "pg_"
RANDOM_BYTES = 32
CACHED_KEYS = 100_000
LONGEST_KEY = 256
"""Characters; nothing longer is hashed or looked up."""


class Scope(enum.StrEnum):
    """What a key opens."""

    INFERENCE = "inference"
    SUPERADMIN = "superadmin"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its owner may see it. The raw text is not part of it."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: str
    revoked_at: str | None

    @property
    def active(self) -> bool:
        return self.revoked_at is None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the ``raw`` text that is shown this once."""

    key: Key
    raw: str


def digest(raw: str) -> str:
    """Return the hex SHA-256 of a raw key. Plain hashing is enough: the key is 256 random bits."""
    return hashlib.sha256(raw.encode("utf-8", "replace")).hexdigest()


class KeyService:
    """Makes, finds and revokes keys.

    Answers, also "no such key", are kept for *cache_seconds*, by the full digest: a revoked key stops
    within that time.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        cache_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now = now
        self._cache: TTLCache[str, Key | None] = TTLCache(CACHED_KEYS, cache_seconds, timer)

    async def create(self, name: str, scopes: Iterable[Scope]) -> NewKey:
        """Make a key.

        Raises:
            StoreError: the database failed.
        """
        raw = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
        row = KeyRow(
            id=f"key_{secrets.token_hex(8)}",
            name=name,
            scopes=" ".join(sorted(scopes)),
            created_at=self._timestamp(),
            revoked_at=None,
        )
        await self._store.add(row, digest(raw))
        return NewKey(_key(row), raw)

    async def find(self, raw: str) -> Key | None:
        """Return the active key with this raw text, None if there is none.

        Raises:
            StoreError: the database failed, so nobody knows.
        """
        if not raw.startswith(PREFIX) or len(raw) > LONGEST_KEY:
            return None
        sha256 = digest(raw)
        try:
            return self._cache[sha256]
        except KeyError:
            pass
        row = await self._store.find(sha256)
        key = _key(row) if row is not None else None
        found = key if key is not None and key.active else None
        self._cache[sha256] = found
        return found

    async def all(self) -> Sequence[Key]:
        """Return every key, revoked ones too, the oldest first."""
        return [_key(row) for row in await self._store.all()]

    async def revoke(self, key_id: str) -> bool:
        """Revoke a key; False if there is no such active key."""
        return await self._store.revoke(key_id, self._timestamp())

    def _timestamp(self) -> str:
        return rfc3339(self._now())


def _key(row: KeyRow) -> Key:
    scopes = frozenset(Scope(name) for name in row.scopes.split())
    return Key(row.id, row.name, scopes, row.created_at, row.revoked_at)
