from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from benchmarks.gateway import homes
from edge.accounts import Keyring
from edge.accounts.usage import LONGEST_DAYS
from edge.store import KeyStore, UsageStore, open_fleet


def test_keys_that_were_added_open_the_edge(tmp_path: Path) -> None:
    own = homes.make_home(tmp_path)
    shown = homes.add_keys(tmp_path, 100, 10)
    assert len(set(shown)) == 10
    assert len(homes.key_ids(tmp_path)) == 101

    async def find() -> list[str | None]:
        async with open_fleet(tmp_path, None) as database:
            keyring = Keyring(KeyStore(database), cache_seconds=0)
            return [key.tenant_id if (key := await keyring.find(raw)) else None for raw in (own, *shown)]

    assert anyio.run(find) == [homes.TENANT] * 11


def test_usage_that_was_added_is_reported(tmp_path: Path) -> None:
    homes.make_home(tmp_path)
    (key_id,) = homes.key_ids(tmp_path)
    homes.add_usage(tmp_path, key_id, 12_000)

    async def count() -> tuple[int, int]:
        async with open_fleet(tmp_path, None) as database:
            store = UsageStore(database)
            today = str(datetime.now(UTC).date())
            asked: Any = {"tenant_id": homes.TENANT, "key_id": key_id, "limit": 999}
            rows = await store.days(start="2000-01-01", end=today, **asked)
            return sum(total.requests for _, total in rows), await store.prune("2999")

    requests, records = anyio.run(count)
    assert requests == 12_000
    assert records == 5_000  # some at a time
    assert homes.DAYS <= LONGEST_DAYS
