"""Finding the key behind a raw text: in memory, else in this node's own file."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hmac import compare_digest

from cachetools import TTLCache

from edge.accounts.key import LONGEST_KEY, PREFIX, Key, digest, key_from
from edge.store import KeyStore

CACHED_KEYS = 100_000
CACHED_MISSES = 10_000


@dataclass(frozen=True, slots=True)
class _Entry:
    sha256: str
    key: Key


class Keyring:
    """Finds keys. What was found is kept for *cache_seconds* by the key's full digest: a key that has been
    revoked stops within that time. Requests that need the same key at the same time look it up once.

    That there is no such key is kept as well, apart: however many unknown keys come, they push no known one
    out. *certain* is asked before the file's word is passed on, with what was found; it raises StoreError
    where the file is too old a copy to tell.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        cache_seconds: float,
        certain: Callable[[Key | None], None] = lambda _found: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._certain = certain
        self._known: TTLCache[str, _Entry] = TTLCache(CACHED_KEYS, cache_seconds, timer)
        self._unknown: TTLCache[str, None] = TTLCache(CACHED_MISSES, cache_seconds, timer)
        self._lookups: dict[str, asyncio.Task[Key | None]] = {}

    async def find(self, raw: str) -> Key | None:
        """Return the key with this raw text, also an expired one; None if there is none or it is revoked.

        Raises:
            StoreError: the database failed or is too old a copy, so nobody knows.
        """
        if not raw.startswith(PREFIX) or len(raw) > LONGEST_KEY:
            return None
        sha256 = digest(raw)
        entry = self._known.get(sha256)
        if entry is not None and compare_digest(entry.sha256, sha256):
            return entry.key
        if sha256 in self._unknown:
            return None
        lookup = self._lookups.get(sha256)
        if lookup is None:
            lookup = self._lookups[sha256] = asyncio.create_task(self._look_up(sha256))
            lookup.add_done_callback(_look_at)
        return await asyncio.shield(lookup)

    async def _look_up(self, sha256: str) -> Key | None:
        own = asyncio.current_task()
        try:
            key = await self._stored(sha256)
            # What was read before it was to be forgotten is not kept.
            if self._lookups.get(sha256) is own:
                if key is None:
                    self._unknown[sha256] = None
                else:
                    self._known[sha256] = _Entry(sha256, key)
            return key
        finally:
            if self._lookups.get(sha256) is own:
                del self._lookups[sha256]

    async def _stored(self, sha256: str) -> Key | None:
        owned = await self._store.find(sha256)
        if owned is not None and not compare_digest(owned[0].sha256, sha256):
            owned = None
        key = key_from(owned) if owned is not None else None
        self._certain(key)
        return None if key is None or key.revoked_at is not None else key

    def forget(self, digests: Iterable[str] | None = None) -> None:
        """Look the keys of these digests up anew when they come next; all keys if None."""
        if digests is None:
            self._known.clear()
            self._unknown.clear()
            self._lookups.clear()
            return
        for sha256 in digests:
            self._known.pop(sha256, None)
            self._unknown.pop(sha256, None)
            self._lookups.pop(sha256, None)


def _look_at(lookup: "asyncio.Task[Key | None]") -> None:
    if not lookup.cancelled():
        lookup.exception()  # or asyncio complains where whoever asked has left
