from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest

from edge.store import Database
from edge.store.idempotency import KEPT, LOST, RUNNING, Claim, IdempotencyStore
from tests.edge.store.databases import Place

pytestmark = pytest.mark.anyio

CLAIM = Claim(
    id="a",
    tenant_id="t",
    fingerprint="f",
    owner="one",
    created_at="2026-01-01T00:00:00Z",
    lease_until_ms=1_015,
    expires_at_ms=90_000,
)


@pytest.fixture
async def database(place: Place) -> AsyncIterator[Database]:
    async with place.open() as database:
        yield database


@pytest.fixture
def store(database: Database) -> IdempotencyStore:
    return IdempotencyStore(database)


async def test_a_request_is_claimed_once(store: IdempotencyStore) -> None:
    assert await store.find("a") is None
    assert await store.claim(CLAIM, 1_000)
    assert not await store.claim(replace(CLAIM, owner="two"), 1_001)
    row = await store.find("a")
    assert row is not None
    assert (row.fingerprint, row.state, row.lease_until_ms, row.body) == ("f", RUNNING, 1_015, None)


async def test_of_many_who_claim_at_once_one_has_it(store: IdempotencyStore) -> None:
    won: list[int] = []

    async def claim(number: int) -> None:
        if await store.claim(replace(CLAIM, owner=str(number)), 1_000):
            won.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(claim, number)
    assert len(won) == 1


async def test_the_claim_of_one_who_has_died_can_be_taken_over_by_one(store: IdempotencyStore) -> None:
    await store.claim(CLAIM, 1_000)
    assert not await store.claim(replace(CLAIM, owner="two", lease_until_ms=2_000), 1_014)
    assert await store.claim(replace(CLAIM, owner="two", lease_until_ms=2_000), 1_015)
    assert not await store.claim(replace(CLAIM, owner="three", lease_until_ms=2_000), 1_015)
    assert not await store.keep("a", "one", status=200, headers="[]", body=b"late", size_bytes=4)
    row = await store.find("a")
    assert row is not None
    assert row.body is None


async def test_who_takes_over_is_told_when_it_was_begun_and_nobody_else(store: IdempotencyStore) -> None:
    first = CLAIM.created_at
    later = replace(CLAIM, owner="two", created_at="2026-01-01T00:00:02Z", lease_until_ms=2_000)
    assert await store.claim(CLAIM, 1_000) == first
    assert await store.claim(later, 1_015) == first
    third = replace(later, owner="three", created_at="2026-01-01T00:00:03Z")
    assert await store.claim(third, 2_000) == first, "kept however often it is taken over"
    await store.release("a", "three")
    assert await store.claim(later, 2_000) == later.created_at
    assert await store.claim(third, 90_000) == third.created_at, "the other has expired"


async def test_a_claim_that_was_let_go_is_taken_over_at_once(store: IdempotencyStore) -> None:
    later = replace(CLAIM, owner="two", created_at="2026-01-01T00:00:02Z")
    await store.claim(CLAIM, 1_000)
    await store.let_go("a", "two")
    assert await store.claim(later, 1_000) is None
    await store.let_go("a", "one")
    await store.renew(["a"], "one", 5_000)
    assert await store.claim(later, 1_000) == CLAIM.created_at


async def test_its_owner_notes_when_a_claim_was_begun(store: IdempotencyStore) -> None:
    await store.claim(CLAIM, 1_000)
    await store.begun("a", "two", "2025-01-01T00:00:00Z")
    await store.begun("a", "one", "2025-06-01T00:00:00Z")
    assert await store.claim(replace(CLAIM, owner="two"), 1_015) == "2025-06-01T00:00:00Z"


async def test_an_answer_is_kept_until_it_expires(store: IdempotencyStore) -> None:
    await store.claim(CLAIM, 1_000)
    assert await store.keep("a", "one", status=201, headers='[["a","b"]]', body=b"\x00\xff", size_bytes=2)
    row = await store.find("a")
    assert row is not None
    assert (row.state, row.status, row.headers, row.body) == (KEPT, 201, '[["a","b"]]', b"\x00\xff")
    assert not await store.claim(replace(CLAIM, owner="two"), 80_000), "its lease means nothing any more"
    assert await store.claim(replace(CLAIM, owner="two", expires_at_ms=200_000), 90_000)
    row = await store.find("a")
    assert row is not None
    assert (row.state, row.status, row.headers, row.body) == (RUNNING, None, None, None)


async def test_a_released_claim_is_gone_and_an_answer_is_not_released(store: IdempotencyStore) -> None:
    await store.claim(CLAIM, 1_000)
    await store.release("a", "two")
    assert await store.find("a") is not None
    await store.release("a", "one")
    assert await store.find("a") is None
    await store.claim(CLAIM, 1_000)
    await store.keep("a", "one", status=200, headers="[]", body=None, size_bytes=0)
    await store.release("a", "one")
    row = await store.find("a")
    assert row is not None
    assert row.state == LOST


async def test_leases_are_renewed_that_their_owner_names(store: IdempotencyStore) -> None:
    for name, owner in (("a", "one"), ("b", "two"), ("c", "one")):
        await store.claim(replace(CLAIM, id=name, owner=owner), 1_000)
    await store.renew(["a", "b"], "one", 5_000)
    rows = [await store.find(name) for name in "abc"]
    assert [row.lease_until_ms for row in rows if row is not None] == [5_000, 1_015, 1_015]


async def test_what_has_expired_is_deleted_in_batches(
    store: IdempotencyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.store.idempotency.BATCH_ROWS", 2)
    for number in range(5):
        await store.claim(replace(CLAIM, id=str(number), expires_at_ms=100 if number < 3 else 1_000), 0)
    assert [await store.delete_expired(100) for _ in range(3)] == [2, 1, 0]
    assert await store.find("4") is not None


async def test_the_oldest_answers_lose_their_bodies_above_the_limit(store: IdempotencyStore) -> None:
    for number in range(4):
        await store.claim(replace(CLAIM, id=str(number), expires_at_ms=90_000 + number), 1_000)
        await store.keep(str(number), "one", status=200, headers="[]", body=b"x" * 10, size_bytes=10)
    assert await store.lose_above(40) == 0
    assert await store.lose_above(25) == 2
    rows = [await store.find(str(number)) for number in range(4)]
    assert [row.state for row in rows if row is not None] == [LOST, LOST, KEPT, KEPT]
    assert await store.lose_above(25) == 0
