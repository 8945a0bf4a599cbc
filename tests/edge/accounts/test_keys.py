import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.accounts import KeyService, Scope
from edge.accounts.keys import LONGEST_KEY, digest
from edge.store import KeyRow, KeyStore, StoreError, database_file, open_database


class Memory(KeyStore):
    """A store in memory that counts its look-ups and can be made to fail."""

    def __init__(self) -> None:
        self.rows: dict[str, KeyRow] = {}
        self.finds = 0
        self.fails = False

    async def add(self, row: KeyRow, sha256: str) -> None:
        self.rows[sha256] = row

    async def find(self, sha256: str) -> KeyRow | None:
        self.finds += 1
        if self.fails:
            raise StoreError("the disk is on fire")
        return self.rows.get(sha256)

    async def all(self) -> Sequence[KeyRow]:
        return list(self.rows.values())

    async def revoke(self, key_id: str, at: str) -> bool:
        for sha256, row in self.rows.items():
            if row.id == key_id and row.revoked_at is None:
                self.rows[sha256] = replace(row, revoked_at=at)
                return True
        return False


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

    def service(self, cache_seconds: float = 10) -> KeyService:
        return KeyService(
            self.store,
            cache_seconds=cache_seconds,
            now=lambda: datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
            timer=self.clock,
        )


@pytest.mark.anyio
async def test_new_key_is_shown_once_and_kept_as_its_digest() -> None:
    bench = Bench()
    new = await bench.service().create("ci", [Scope.SUPERADMIN, Scope.INFERENCE])
    assert re.fullmatch(r"pg_[A-Za-z0-9_-]{43}", new.raw)
    assert new.raw not in repr(new.key)
    (sha256,) = bench.store.rows
    assert sha256 == hashlib.sha256(new.raw.encode()).hexdigest()
    (row,) = bench.store.rows.values()
    assert (row.id, row.name, row.scopes) == (new.key.id, "ci", "inference superadmin")
    assert (row.created_at, row.revoked_at) == ("2026-01-02T03:04:05Z", None)
    assert new.raw not in repr(row)
    found = await bench.service().find(new.raw)
    assert found == new.key
    assert found.active
    assert found.scopes == {Scope.INFERENCE, Scope.SUPERADMIN}


@pytest.mark.anyio
async def test_no_two_keys_are_alike() -> None:
    service = Bench().service()
    made = [await service.create("x", [Scope.INFERENCE]) for _ in range(100)]
    assert len({new.raw for new in made}) == len({new.key.id for new in made}) == 100


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.anyio
async def test_raw_key_is_in_no_file(tmp_path: Path) -> None:
    async with open_database(database_file(tmp_path)) as database:
        service = KeyService(KeyStore(database), cache_seconds=10)
        new = await service.create("ci", [Scope.INFERENCE])
        assert await service.find(new.raw) == new.key
        assert await service.find(new.raw[:-1]) is None
        await service.revoke(new.key.id)
        files = contents(tmp_path)
    files["closed"] = database_file(tmp_path).read_bytes()
    assert len(files["nearedge.db-wal"]) > 1000
    for content in files.values():
        assert new.raw.encode() not in content
        assert new.raw[3:].encode() not in content
    assert digest(new.raw).encode() in files["closed"]


@pytest.mark.anyio
async def test_answer_is_remembered_for_its_time() -> None:
    bench = Bench()
    service = bench.service(cache_seconds=10)
    new = await service.create("ci", [Scope.INFERENCE])
    for _ in range(3):
        assert await service.find(new.raw) == new.key
    assert bench.store.finds == 1
    bench.clock.seconds = 10
    assert await service.find(new.raw) == new.key
    assert bench.store.finds == 2


@pytest.mark.anyio
async def test_that_there_is_no_such_key_is_remembered_too() -> None:
    bench = Bench()
    service = bench.service(cache_seconds=10)
    for _ in range(3):
        assert await service.find("pg_unknown") is None
    assert bench.store.finds == 1
    bench.store.rows[digest("pg_unknown")] = KeyRow("key_1", "n", "inference", "2026-01-01T00:00:00Z", None)
    bench.clock.seconds = 10
    assert await service.find("pg_unknown") is not None


@pytest.mark.anyio
async def test_revoked_key_stops_within_the_cache_time_and_not_by_luck() -> None:
    bench = Bench()
    edge, command = bench.service(cache_seconds=10), bench.service()
    new = await command.create("ci", [Scope.INFERENCE])
    assert await edge.find(new.raw) == new.key
    assert await command.revoke(new.key.id)
    assert not await command.revoke(new.key.id)
    bench.clock.seconds = 9.9
    assert await edge.find(new.raw) == new.key
    bench.clock.seconds = 10
    assert await edge.find(new.raw) is None
    (key,) = await edge.all()
    assert (key.active, key.revoked_at) == (False, "2026-01-02T03:04:05Z")


@pytest.mark.anyio
async def test_answer_that_expires_while_it_is_looked_up_is_looked_up_again() -> None:
    bench = Bench()
    service = bench.service(cache_seconds=10)
    new = await service.create("ci", [Scope.INFERENCE])
    bench.clock.step = 3  # every look at the clock finds it later
    for _ in range(20):
        assert await service.find(new.raw) == new.key


@pytest.mark.anyio
async def test_nothing_is_remembered_where_the_cache_time_is_zero() -> None:
    bench = Bench()
    service = bench.service(cache_seconds=0)
    new = await service.create("ci", [Scope.INFERENCE])
    assert await service.find(new.raw) == new.key
    await service.revoke(new.key.id)
    assert await service.find(new.raw) is None


@pytest.mark.anyio
async def test_keys_alike_in_all_but_the_end_are_told_apart() -> None:
    bench = Bench()
    service = bench.service()
    new = await service.create("ci", [Scope.INFERENCE])
    assert await service.find(new.raw) == new.key
    last = "A" if new.raw[-1] != "A" else "B"
    assert await service.find(new.raw[:-1] + last) is None
    assert await service.find(new.raw + last) is None
    assert await service.find(new.raw) == new.key


@pytest.mark.anyio
@pytest.mark.parametrize("raw", ["", "pg", "sk-abc", "PG_abc", " pg_abc", "pg_" + "a" * (LONGEST_KEY - 2)])
async def test_what_cannot_be_a_key_is_not_looked_up(raw: str) -> None:
    bench = Bench()
    assert await bench.service().find(raw) is None
    assert bench.store.finds == 0


@pytest.mark.anyio
async def test_longest_key_is_looked_up() -> None:
    bench = Bench()
    assert await bench.service().find("pg_" + "a" * (LONGEST_KEY - 3)) is None
    assert bench.store.finds == 1


@pytest.mark.anyio
async def test_failure_of_the_store_is_neither_an_answer_nor_remembered() -> None:
    bench = Bench()
    service = bench.service()
    new = await service.create("ci", [Scope.INFERENCE])
    bench.store.fails = True
    with pytest.raises(StoreError):
        await service.find(new.raw)
    bench.store.fails = False
    assert await service.find(new.raw) == new.key
    bench.store.fails = True
    assert await service.find(new.raw) == new.key  # from memory, whatever the disk does


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_only_the_very_text_of_a_key_finds_it(raw: str, other: str) -> None:
    async def check() -> None:
        bench = Bench()
        row = KeyRow("key_1", "n", "inference", "2026-01-01T00:00:00Z", None)
        bench.store.rows[digest("pg_" + raw)] = row
        service = bench.service()
        found = await service.find("pg_" + raw)
        assert (found is not None) == (len(raw) <= LONGEST_KEY - 3)
        for text in (other, "pg_" + other, raw):
            again = await service.find(text)
            assert again is None or text == "pg_" + raw

    anyio.run(check)
