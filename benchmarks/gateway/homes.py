"""Homes of edges as they are after long use: with many keys, or much usage."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from edge.accounts import Billing, KeyOrder, Limits, Scope, open_registry
from edge.accounts.credits import CreditService
from edge.accounts.key import digest, new_raw
from edge.store import CreditStore, Sketch, database_file, open_fleet

TENANT = "bench"
PLENTY_MICRO = 10**15
LIMITS = Limits(requests_per_minute=10**9, tokens_per_minute=10**12, concurrent_requests=10**6)
DAYS = 30
MODELS = ("smollm2-135m-instruct", "all-minilm-l6-v2", "kokoro-82m", "whisper-tiny.en")
MOST_EVENTS = 1_000_000
"""Events that are there as rows of their own; the sums hold all of them."""

_KEY = (
    "INSERT INTO keys (id, tenant_id, name, sha256, scopes, created_at, version, requests_per_minute) "
    "VALUES (?, ?, 'bench', ?, 'inference', '2026-01-01T00:00:00Z', 1, 1000000000)"
)
_DAY = (
    "INSERT INTO usage_days VALUES (:tenant, :key, :day, :model, '', 'yto-01', 'chat/completions', 'local', "
    ":count, 0, :count * 10, 0, :count * 9, 0, 0, :count * 2, :count * 2, :count * 50.0, :times, :times)"
)
_EVENTS = """
INSERT INTO usage_events
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
SELECT 'use_' || n, :day || 'T00:00:00.000Z', :tenant, :key, 'req_' || n, 'smollm2-135m-instruct', '',
 'yto-01', 'chat/completions', 'local', 10, 0, 9, 0, 0, 200, 2, 2, NULL, 1.0, 20.0, 50.0 FROM numbers
"""


def make_home(home: Path) -> str:
    """Make a home with a prepaid tenant who has plenty, and return a key of his with limits of all kinds."""

    async def make() -> str:
        async with open_registry(home, None) as registry:
            await registry.tenants.create(TENANT, TENANT, Billing.PREPAID)
            order = KeyOrder("bench", frozenset({Scope.INFERENCE}), TENANT, limits=LIMITS)
            raw = (await registry.keys.create(order)).raw
        async with open_fleet(home, None) as database:
            await CreditService(CreditStore(database)).grant(TENANT, PLENTY_MICRO)
        return raw

    return anyio.run(make)


def add_keys(home: Path, count: int, shown: int) -> list[str]:
    """Add *count* keys to a home, and return *shown* of them spread over all."""
    every = max(1, count // shown)
    kept: list[str] = []

    def rows() -> Iterator[tuple[str, str, str]]:
        for number in range(count):
            raw = new_raw()
            if number % every == 0 and len(kept) < shown:
                kept.append(raw)
            yield f"key_bench_{number}_{secrets.token_hex(4)}", TENANT, digest(raw)

    with closing(sqlite3.connect(database_file(home))) as database, database:
        database.executemany(_KEY, rows())
    return kept


def add_usage(home: Path, key_id: str, events: int) -> None:
    """Add what *events* calls of a key over the last days leave: sums by day, and the events themselves, up
    to MOST_EVENTS of them."""
    today = datetime.now(UTC).date()
    groups = DAYS * len(MODELS)
    times = Sketch(1.1**step for step in range(1, 120)).to_bytes()
    with closing(sqlite3.connect(database_file(home))) as database, database:
        for day in range(DAYS):
            for model in MODELS:
                values: dict[str, Any] = {"tenant": TENANT, "key": key_id, "model": model, "times": times}
                values |= {"day": str(today - timedelta(days=day)), "count": events // groups}
                database.execute(_DAY, values)
        count = min(events, MOST_EVENTS)
        database.execute(_EVENTS, {"tenant": TENANT, "key": key_id, "day": str(today), "count": count})


def key_ids(home: Path) -> list[str]:
    """Return the ids of the tenant's keys."""
    with closing(sqlite3.connect(database_file(home))) as database:
        found = database.execute("SELECT id FROM keys WHERE tenant_id = ?", (TENANT,))
        return [key_id for (key_id,) in found]


def requests_of(home: Path, key_id: str) -> int:
    """Return how many calls of a key were counted."""
    with closing(sqlite3.connect(database_file(home))) as database:
        found = database.execute(
            "SELECT coalesce(sum(requests), 0) FROM usage_days WHERE key_id = ?", (key_id,)
        )
        return int(found.fetchone()[0])
