import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from edge.accounts import idempotency as module
from edge.accounts.idempotency import Idempotency, Identity, StoredAnswer
from edge.errors import AnswerNotKept, IdempotencyInProgress, IdempotencyKeyReused, StoreUnavailable
from edge.store import Database, StoreError, Stores, open_stores
from edge.store.idempotency import KEPT, Claim, IdempotencyRow, IdempotencyStore

pytestmark = pytest.mark.anyio

IDENTITY = Identity("a", "t", "f", keep_seconds=3600, fleetwide=True)
ANSWER = StoredAnswer(200, [("content-type", "text/plain")], b"done")


def service(stores: Stores, **options: Any) -> Idempotency:
    return Idempotency(
        stores, **{"answer_limit_bytes": 100, "total_limit_bytes": 1000, "wait_seconds": 0.3, **options}
    )


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    async with open_stores(tmp_path, None) as stores:
        yield stores


@asynccontextmanager
async def edge_of(home: Path, url: str, **options: Any) -> AsyncIterator[Idempotency]:
    """One edge of a fleet."""
    async with open_stores(home, url) as stores:
        await stores.fleet.migrate()
        yield service(stores, **options)


async def test_a_claimed_request_is_answered_to_those_who_ask_again(stores: Stores) -> None:
    first, other = service(stores), service(stores)
    assert await first.find(IDENTITY) is None
    assert await first.claim(IDENTITY)
    assert not await other.claim(IDENTITY)
    await first.keep(IDENTITY, ANSWER, status=200)
    assert await other.find(IDENTITY) == StoredAnswer(200, [("content-type", "text/plain")], b"done")
    assert not await other.claim(IDENTITY)


async def test_the_name_of_another_request_is_refused(stores: Stores) -> None:
    first = service(stores)
    await first.claim(IDENTITY)
    with pytest.raises(IdempotencyKeyReused):
        await first.find(replace(IDENTITY, fingerprint="g"))


async def test_a_repeat_waits_for_the_first_and_then_has_its_answer(stores: Stores) -> None:
    first, other = service(stores), service(stores, wait_seconds=5)
    await first.claim(IDENTITY)

    async def keep_later() -> None:
        await anyio.sleep(0.3)
        await first.keep(IDENTITY, ANSWER, status=200)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_later)
        answer = await other.find(IDENTITY)
    assert answer is not None
    assert answer.body == b"done"


async def test_a_repeat_does_not_wait_for_ever(stores: Stores) -> None:
    first, other = service(stores), service(stores)
    await first.claim(IDENTITY)
    started = time.monotonic()
    with pytest.raises(IdempotencyInProgress):
        await other.find(IDENTITY)
    assert time.monotonic() - started < 2


async def test_a_released_request_may_be_done_again(stores: Stores) -> None:
    first, other = service(stores), service(stores)
    await first.claim(IDENTITY)
    await first.release(IDENTITY)
    assert await other.find(IDENTITY) is None
    assert await other.claim(IDENTITY)


async def test_the_request_of_a_process_that_died_may_be_done_again_after_its_lease(stores: Stores) -> None:
    dead, other = service(stores, lease_seconds=0.5), service(stores, wait_seconds=5)
    await dead.claim(IDENTITY)
    started = time.monotonic()
    assert await other.find(IDENTITY) is None
    assert time.monotonic() - started > 0.2
    assert await other.claim(IDENTITY)


async def test_who_takes_over_from_the_dead_has_the_name_of_the_first(stores: Stores) -> None:
    dead, other = service(stores, lease_seconds=0), service(stores)
    first = await dead.claim(IDENTITY)
    assert first is not None
    assert not first.again
    assert await dead.claim(IDENTITY) == replace(first, again=True)
    assert await other.claim(IDENTITY) == replace(first, again=True)


async def test_a_request_that_was_given_back_or_has_expired_has_another_name(stores: Stores) -> None:
    now = [1000.0]
    edge = service(stores, now=lambda: now[0])
    claims = [await edge.claim(IDENTITY)]
    await edge.release(IDENTITY)
    claims.append(await edge.claim(IDENTITY))
    now[0] += 3600
    claims.append(await edge.claim(IDENTITY))
    now[0] += 3600
    claims.append(await edge.claim(replace(IDENTITY, fingerprint="g")))
    await edge.keep(IDENTITY, ANSWER, status=200)
    now[0] += 3600
    claims.append(await edge.claim(IDENTITY))
    names = [claim.name for claim in claims if claim is not None and not claim.again]
    assert len(set(names)) == 5


async def test_the_names_of_two_requests_are_never_the_same(stores: Stores) -> None:
    dead, other = service(stores, lease_seconds=0), service(stores)
    first = await dead.claim(IDENTITY)
    second = await other.claim(replace(IDENTITY, fingerprint="g"))
    assert first is not None
    assert second is not None
    assert first.name != second.name


async def test_a_request_that_was_let_go_is_taken_over_at_once(stores: Stores) -> None:
    one, other = service(stores), service(stores)
    first = await one.claim(IDENTITY)
    await one.let_go(IDENTITY)
    assert await other.find(IDENTITY) is None
    assert first is not None
    assert await other.claim(IDENTITY) == replace(first, again=True)


async def test_a_long_request_keeps_its_lease(stores: Stores) -> None:
    first, other = service(stores, lease_seconds=0.6), service(stores, wait_seconds=1.5)
    async with first.running():
        await first.claim(IDENTITY)
        with pytest.raises(IdempotencyInProgress):
            await other.find(IDENTITY)


async def test_a_claim_that_was_stored_too_late_is_not_kept_alive_by_others(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge, other = service(stores, lease_seconds=0.6), service(stores, wait_seconds=5)
    claim = edge._local.claim

    async def without_an_answer(*order: Any) -> str | None:
        await claim(*order)
        raise StoreError("no answer in time")

    async with edge.running():
        await edge.claim(replace(IDENTITY, id="b"))
        with monkeypatch.context() as patch:
            patch.setattr(edge._local, "claim", without_an_answer)
            with pytest.raises(StoreUnavailable):
                await edge.claim(IDENTITY)
        assert await other.find(IDENTITY) is None


async def test_an_answer_that_is_too_large_is_done_once_all_the_same(stores: Stores) -> None:
    first = service(stores)
    await first.claim(IDENTITY)
    await first.keep(IDENTITY, replace(ANSWER, body=b"x" * 101), status=200)
    with pytest.raises(AnswerNotKept):
        await first.find(IDENTITY)
    assert not await first.claim(IDENTITY)
    assert first.counts.not_kept == 1


async def test_a_name_may_be_used_again_after_its_time(stores: Stores) -> None:
    now = [1000.0]
    first = service(stores, now=lambda: now[0])
    await first.claim(IDENTITY)
    await first.keep(IDENTITY, ANSWER, status=200)
    now[0] += 3599
    assert await first.find(replace(IDENTITY)) is not None
    now[0] += 1
    assert await first.find(replace(IDENTITY, fingerprint="g")) is None
    assert await first.claim(replace(IDENTITY, fingerprint="g"))


async def test_expired_rows_are_deleted_in_the_background(stores: Stores) -> None:
    first = service(stores)
    await first.claim(replace(IDENTITY, keep_seconds=0))
    async with first.running():
        with anyio.fail_after(5):
            while await first._local.find(IDENTITY.id) is not None:
                await anyio.sleep(0.02)


async def test_a_sealed_answer_is_not_readable_in_the_database(stores: Stores) -> None:
    first = service(stores)
    sealed = replace(IDENTITY, secret="pg_mine")
    await first.claim(sealed)
    await first.keep(sealed, ANSWER, status=200)
    row = await first._local.find(IDENTITY.id)
    assert row is not None
    assert row.body is not None
    assert ANSWER.body not in row.body
    assert await first.find(sealed) == ANSWER
    with pytest.raises(AnswerNotKept, match="another key"):
        await first.find(replace(IDENTITY, secret="pg_other"))


async def test_without_its_own_file_nobody_knows(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise StoreError("the disk is on fire")

    monkeypatch.setattr(Database, "read", fail)
    monkeypatch.setattr(Database, "write", fail)
    with pytest.raises(StoreUnavailable):
        await service(stores).find(IDENTITY)
    with pytest.raises(StoreUnavailable):
        await service(stores).claim(IDENTITY)


async def test_two_edges_of_a_fleet_do_a_request_once(tmp_path: Path, postgresql: str) -> None:
    async with edge_of(tmp_path / "a", postgresql) as one, edge_of(tmp_path / "b", postgresql) as two:
        assert await one.claim(IDENTITY)
        assert not await two.claim(IDENTITY)
        with pytest.raises(IdempotencyInProgress):
            await two.find(IDENTITY)
        await one.keep(IDENTITY, ANSWER, status=200)
        assert await two.find(IDENTITY) == ANSWER
        assert one.counts.claimed_alone == two.counts.claimed_alone == 0


async def test_another_edge_of_the_fleet_takes_over_under_the_same_name(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        edge_of(tmp_path / "a", postgresql, lease_seconds=0) as one,
        edge_of(tmp_path / "b", postgresql, lease_seconds=0) as two,
    ):
        first = await one.claim(IDENTITY)
        assert first is not None
        again = replace(first, again=True)
        assert await two.claim(IDENTITY) == again
        assert await one.claim(IDENTITY) == again
        Frozen(monkeypatch, two)
        assert await two.claim(IDENTITY) == again, "known at its node too"


async def test_what_was_claimed_without_the_fleet_has_the_same_name_there(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with edge_of(tmp_path / "a", postgresql, lease_seconds=0) as one:
        frozen = Frozen(monkeypatch, one)
        first = await one.claim(IDENTITY)
        frozen.thaw()
        one._breaker.succeed()
        assert first is not None
        assert await one.claim(IDENTITY) == replace(first, again=True)
        assert one.counts.claimed_alone == 1
        async with edge_of(tmp_path / "b", postgresql) as two:
            assert await two.claim(IDENTITY) == replace(first, again=True)


async def until_fleet_has(edge: Idempotency, what: Callable[[IdempotencyRow], bool]) -> None:
    """Wait until the fleet's database has a row of the request of which *what* is true."""
    assert edge._fleet is not None
    with anyio.fail_after(10):
        while (row := await edge._fleet.find(IDENTITY.id)) is None or not what(row):
            await anyio.sleep(0.05)


async def test_a_fleet_that_is_back_hears_that_a_request_was_let_go(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        edge_of(tmp_path / "a", postgresql, lease_seconds=0.5) as one,
        edge_of(tmp_path / "b", postgresql, wait_seconds=5) as two,
    ):
        async with one.running():
            first = await one.claim(IDENTITY)
            frozen = Frozen(monkeypatch, one)
            await one.let_go(IDENTITY)
            frozen.thaw()
            await until_fleet_has(two, lambda row: row.lease_until_ms == 0)
        assert first is not None
        assert await two.claim(IDENTITY) == replace(first, again=True)


async def test_what_was_let_go_and_is_done_again_here_is_not_taken_over_elsewhere(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        edge_of(tmp_path / "a", postgresql) as one,
        edge_of(tmp_path / "b", postgresql) as two,
    ):
        assert one._fleet is not None
        await one.claim(IDENTITY)
        frozen = Frozen(monkeypatch, one)
        await one.let_go(IDENTITY)
        assert await one.claim(IDENTITY)
        frozen.thaw()
        one._breaker.succeed()
        await one._catch_up(one._fleet, one._ms() + 15_000)
        assert await two.claim(IDENTITY) is None
        await one.keep(IDENTITY, ANSWER, status=200)
        assert await two.find(IDENTITY) == ANSWER


async def test_a_repeated_request_id_counts_on_its_node_alone(tmp_path: Path, postgresql: str) -> None:
    local = replace(IDENTITY, fleetwide=False)
    async with edge_of(tmp_path / "a", postgresql) as one, edge_of(tmp_path / "b", postgresql) as two:
        assert await one.claim(local)
        assert await two.claim(local)


class Frozen:
    """Stands in for the fleet's database that has stopped answering."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, edge: Idempotency) -> None:
        self.edge = edge
        self.working = edge._fleet
        self.thaw = monkeypatch.undo
        assert self.working is not None
        monkeypatch.setattr(module, "FLEET_SECONDS", 0.1)

        async def hang(*_: object, **__: object) -> None:
            await anyio.sleep_forever()

        for name in ("claim", "find", "keep", "let_go", "release", "renew"):
            monkeypatch.setattr(self.working, name, hang, raising=True)


async def test_a_fleet_that_does_not_answer_is_done_without_and_that_is_counted(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with edge_of(tmp_path / "a", postgresql) as one:
        Frozen(monkeypatch, one)
        started = time.monotonic()
        assert await one.find(IDENTITY) is None
        assert await one.claim(IDENTITY)
        assert not await one.claim(IDENTITY), "its own claim holds"
        await one.keep(IDENTITY, ANSWER, status=200)
        assert await one.find(IDENTITY) == ANSWER
        assert time.monotonic() - started < 3
        assert one.counts.claimed_alone == 1


async def test_a_fleet_that_is_back_hears_how_a_request_ended(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        edge_of(tmp_path / "a", postgresql, lease_seconds=0.5) as one,
        edge_of(tmp_path / "b", postgresql, wait_seconds=5) as two,
    ):
        async with one.running():
            assert await one.claim(IDENTITY)
            frozen = Frozen(monkeypatch, one)
            await one.keep(IDENTITY, ANSWER, status=200)
            frozen.thaw()
            await until_fleet_has(two, lambda row: row.state == KEPT)
        assert await two.find(IDENTITY) == ANSWER


def test_the_stand_in_covers_all_that_is_asked_of_the_fleet() -> None:
    asked = {name for name in vars(IdempotencyStore) if not name.startswith("_")}
    of_its_own_file = {"begun", "delete_expired", "lose_above"}
    assert asked == {"claim", "find", "keep", "let_go", "release", "renew"} | of_its_own_file


async def test_a_claim_of_this_node_counts_though_the_fleet_shows_one_who_died_at_it(
    tmp_path: Path, postgresql: str
) -> None:
    now = int(time.time() * 1000)
    async with open_stores(tmp_path, postgresql) as stores:
        await stores.fleet.migrate()
        for database, owner, until in (
            (stores.fleet, "dead", now - 1),
            (stores.local, "alive", now + 60_000),
        ):
            claim = Claim("a", "t", "f", owner, "2026-01-01T00:00:00Z", until, now + 3_600_000)
            assert await IdempotencyStore(database).claim(claim, now)
        with pytest.raises(IdempotencyInProgress):
            await service(stores).find(IDENTITY)
