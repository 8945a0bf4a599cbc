import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.accounts import Key, Keyring, Scope
from edge.accounts import keyring as module
from edge.accounts.key import LONGEST_KEY, digest, new_raw
from edge.store import KeyRow, KeyStore, OwnedKey, StoreError, TenantRow

TENANT = TenantRow("default", "Default", "unmetered", "2026-01-01T00:00:00Z")
ROW = KeyRow("key_1", "default", "n", "", "inference superadmin", "2026-01-01T00:00:00Z")


class Memory(KeyStore):
    """A store in memory that counts its look-ups and can be made to fail."""

    def __init__(self) -> None:
        self.rows: dict[str, KeyRow] = {}
        self.finds = 0
        self.fails = False

    def put(self, raw: str, **fields: Any) -> None:
        sha256 = digest(raw)
        self.rows[sha256] = replace(ROW, sha256=sha256, **fields)

    async def find(self, sha256: str) -> OwnedKey | None:
        self.finds += 1
        if self.fails:
            raise StoreError("the disk is on fire")
        row = self.rows.get(sha256)
        return (row, TENANT) if row is not None else None


@dataclass
class Clock:
    seconds: float = 0.0
    step: float = 0.0

    def __call__(self) -> float:
        self.seconds += self.step
        return self.seconds


@dataclass
class Bench:
    store: Memory = field(default_factory=Memory)
    clock: Clock = field(default_factory=Clock)

    def keyring(self, cache_seconds: float = 10) -> Keyring:
        return Keyring(self.store, cache_seconds=cache_seconds, timer=self.clock)

    def key(self, **fields: Any) -> str:
        raw = new_raw()
        self.store.put(raw, **fields)
        return raw


async def found(keyring: Keyring, raw: str) -> Key:
    key = await keyring.find(raw)
    assert key is not None
    return key


@pytest.mark.anyio
async def test_a_key_is_found_with_its_tenant() -> None:
    bench = Bench()
    key = await found(bench.keyring(), bench.key())
    assert (key.id, key.tenant_id, key.tenant.name) == ("key_1", "default", "Default")
    assert key.scopes == {Scope.INFERENCE, Scope.SUPERADMIN}
    assert (key.models, key.regions, key.expires_at) == (None, None, None)


@pytest.mark.anyio
async def test_answer_is_remembered_for_its_time() -> None:
    bench = Bench()
    keyring, raw = bench.keyring(cache_seconds=10), bench.key()
    for _ in range(3):
        await found(keyring, raw)
    assert bench.store.finds == 1
    bench.clock.seconds = 10
    await found(keyring, raw)
    assert bench.store.finds == 2


@pytest.mark.anyio
async def test_that_there_is_no_such_key_is_remembered_too() -> None:
    bench = Bench()
    keyring = bench.keyring(cache_seconds=10)
    for _ in range(3):
        assert await keyring.find("pg_unknown") is None
    assert bench.store.finds == 1
    bench.store.put("pg_unknown")
    bench.clock.seconds = 10
    assert await keyring.find("pg_unknown") is not None


@pytest.mark.anyio
async def test_a_flood_of_unknown_keys_pushes_no_known_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_KEYS", 4)
    monkeypatch.setattr(module, "CACHED_MISSES", 4)
    bench = Bench()
    keyring = bench.keyring()
    known = [bench.key() for _ in range(4)]
    for raw in known:
        await found(keyring, raw)
    for number in range(100):
        assert await keyring.find(f"pg_{number}") is None
    bench.store.fails = True
    for raw in known:
        await found(keyring, raw)


@pytest.mark.anyio
async def test_a_revoked_key_stops_within_the_cache_time_and_not_by_luck() -> None:
    bench = Bench()
    keyring, raw = bench.keyring(cache_seconds=10), bench.key()
    await found(keyring, raw)
    bench.store.put(raw, revoked_at="2026-01-02T00:00:00Z")
    bench.clock.seconds = 9.9
    await found(keyring, raw)
    bench.clock.seconds = 10
    assert await keyring.find(raw) is None


@pytest.mark.anyio
async def test_what_has_changed_is_forgotten_at_once_and_nothing_else() -> None:
    bench = Bench()
    keyring, one, other = bench.keyring(), bench.key(), bench.key()
    for raw in (one, other):
        await found(keyring, raw)
    assert await keyring.find("pg_later") is None
    for raw in (one, other):
        bench.store.put(raw, revoked_at="2026-01-02T00:00:00Z")
    bench.store.put("pg_later")
    keyring.forget([digest(one), digest("pg_later"), digest("pg_never_seen")])
    assert await keyring.find(one) is None
    assert await keyring.find("pg_later") is not None
    assert await keyring.find(other) is not None
    keyring.forget(None)
    assert await keyring.find(other) is None


@pytest.mark.anyio
async def test_an_expired_key_is_told_from_an_unknown_one() -> None:
    bench = Bench()
    key = await found(bench.keyring(), bench.key(expires_at="2026-02-01T00:00:00Z"))
    for moment, active in [("2026-01-31T23:59:59Z", True), ("2026-02-01T00:00:00Z", False)]:
        assert key.active(datetime.fromisoformat(moment)) is active
    assert await bench.keyring().find(bench.key(revoked_at="2026-02-01T00:00:00Z")) is None


@pytest.mark.anyio
async def test_answer_that_expires_while_it_is_looked_up_is_looked_up_again() -> None:
    bench = Bench()
    keyring, raw = bench.keyring(cache_seconds=10), bench.key()
    bench.clock.step = 3  # every look at the clock finds it later
    for _ in range(20):
        await found(keyring, raw)


@pytest.mark.anyio
async def test_nothing_is_remembered_where_the_cache_time_is_zero() -> None:
    bench = Bench()
    keyring, raw = bench.keyring(cache_seconds=0), bench.key()
    await found(keyring, raw)
    bench.store.put(raw, revoked_at="2026-01-02T00:00:00Z")
    assert await keyring.find(raw) is None


@pytest.mark.anyio
async def test_keys_alike_in_all_but_the_end_are_told_apart() -> None:
    bench = Bench()
    keyring, raw = bench.keyring(), bench.key()
    await found(keyring, raw)
    last = "A" if raw[-1] != "A" else "B"
    assert await keyring.find(raw[:-1] + last) is None
    assert await keyring.find(raw + last) is None
    await found(keyring, raw)


@pytest.mark.anyio
async def test_a_store_that_finds_another_key_is_not_believed() -> None:
    class Confused(Memory):
        async def find(self, sha256: str) -> OwnedKey | None:
            return (replace(ROW, sha256=sha256[:-1] + "x"), TENANT)

    assert await Bench(Confused()).keyring().find("pg_any") is None


@pytest.mark.anyio
@pytest.mark.parametrize("raw", ["", "pg", "sk-abc", "PG_abc", " pg_abc", "pg_" + "a" * (LONGEST_KEY - 2)])
async def test_what_cannot_be_a_key_is_not_looked_up(raw: str) -> None:
    bench = Bench()
    assert await bench.keyring().find(raw) is None
    assert bench.store.finds == 0


@pytest.mark.anyio
async def test_longest_key_is_looked_up() -> None:
    bench = Bench()
    assert await bench.keyring().find("pg_" + "a" * (LONGEST_KEY - 3)) is None
    assert bench.store.finds == 1


@pytest.mark.anyio
async def test_failure_of_the_store_is_neither_an_answer_nor_remembered() -> None:
    bench = Bench()
    keyring, raw = bench.keyring(), bench.key()
    bench.store.fails = True
    with pytest.raises(StoreError):
        await keyring.find(raw)
    bench.store.fails = False
    await found(keyring, raw)
    bench.store.fails = True
    await found(keyring, raw)  # from memory, whatever the disk does


@pytest.mark.anyio
async def test_a_copy_that_is_too_old_to_tell_is_neither_an_answer_nor_remembered() -> None:
    bench = Bench()
    raw = bench.key()
    asked: list[Key | None] = []
    doubts = itertools.chain([True, True], itertools.repeat(False))

    def certain(key: Key | None) -> None:
        asked.append(key)
        if next(doubts):
            raise StoreError("too old")

    keyring = Keyring(bench.store, cache_seconds=10, certain=certain)
    for text in (raw, "pg_unknown"):
        with pytest.raises(StoreError):
            await keyring.find(text)
    key = await found(keyring, raw)
    assert await keyring.find("pg_unknown") is None
    assert asked == [key, None, key, None]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_only_the_very_text_of_a_key_finds_it(raw: str, other: str) -> None:
    async def check() -> None:
        bench = Bench()
        bench.store.put("pg_" + raw)
        keyring = bench.keyring()
        assert (await keyring.find("pg_" + raw) is not None) == (len(raw) <= LONGEST_KEY - 3)
        for text in (other, "pg_" + other, raw):
            again = await keyring.find(text)
            assert again is None or text == "pg_" + raw

    anyio.run(check)


class Slow(Memory):
    """Answers a look-up, as it was when it began, once ``goes_on`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = anyio.Event()

    async def find(self, sha256: str) -> OwnedKey | None:
        owned = await super().find(sha256)
        await self.goes_on.wait()
        return owned


@pytest.mark.anyio
async def test_a_crowd_with_one_key_looks_it_up_once() -> None:
    bench = Bench(Slow())
    keyring, raw = bench.keyring(), bench.key()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(found, keyring, raw)
        await anyio.wait_all_tasks_blocked()
        bench.store.goes_on.set()  # type: ignore[attr-defined]
    assert bench.store.finds == 1


@pytest.mark.anyio
async def test_one_of_a_crowd_that_leaves_takes_nobodys_answer_with_him() -> None:
    bench = Bench(Slow())
    keyring, raw = bench.keyring(), bench.key()
    async with anyio.create_task_group() as leaver, anyio.create_task_group() as tasks:
        leaver.start_soon(found, keyring, raw)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(found, keyring, raw)
        await anyio.wait_all_tasks_blocked()
        leaver.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            bench.store.goes_on.set()  # type: ignore[attr-defined]
            assert await keyring.find(raw) is not None
    assert bench.store.finds == 1


@pytest.mark.parametrize("all_keys", [True, False])
@pytest.mark.anyio
async def test_what_was_read_before_a_key_was_revoked_is_not_kept(all_keys: bool) -> None:
    bench = Bench(Slow())
    keyring, raw = bench.keyring(), bench.key()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(found, keyring, raw)
        await anyio.wait_all_tasks_blocked()
        bench.store.put(raw, revoked_at="2026-01-02T00:00:00Z")
        keyring.forget(None if all_keys else [digest(raw)])
        bench.store.goes_on.set()  # type: ignore[attr-defined]
    assert await keyring.find(raw) is None
