import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from edge.accounts import Limits
from edge.accounts import limiter as module
from edge.accounts.breaker import Breaker
from edge.accounts.limiter import Limiter, open_limiter, within
from edge.accounts.limits import Subject
from edge.accounts.limits_local import LocalLimits
from edge.accounts.limits_shared import SharedLimits, connect
from edge.settings import EdgeSettings
from tests.valkey import VALKEY_URL, LateStore, needs_valkey

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 0.05


def key(**limits: int) -> list[Subject]:
    return [Subject("key", "k", "t", Limits(**limits))]


@asynccontextmanager
async def silent_store() -> AsyncIterator[str]:
    """A store that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def limiter_of(url: str, *, local: LocalLimits | None = None, breaker: Breaker | None = None) -> Limiter:
    shared = SharedLimits(connect(url), prefix=f"nearedge-test:{uuid.uuid4().hex}")
    return Limiter(local, shared, deadline_seconds=DEADLINE_SECONDS, breaker=breaker)


async def test_without_a_shared_store_it_counts_alone_and_nothing_is_degraded() -> None:
    limiter = Limiter()
    subjects = key(requests_per_minute=2)
    admitted = [(await limiter.admit(subjects)).verdict.exceeded is None for _ in range(3)]
    assert admitted == [True, True, False]
    assert not limiter.degraded
    assert limiter.counts.counted_alone == 0
    assert limiter.counts.refused == {("key", "requests"): 1}


async def test_ending_twice_gives_one_slot_back() -> None:
    limiter = Limiter()
    subjects = key(concurrent_requests=2)
    first, second = await limiter.admit(subjects), await limiter.admit(subjects)
    first.end()
    first.end()
    assert (await limiter.admit(subjects)).verdict.exceeded is None
    assert (await limiter.admit(subjects)).verdict.exceeded is not None
    second.end()


async def test_a_refused_request_has_nothing_to_give_back() -> None:
    limiter = Limiter()
    subjects = key(concurrent_requests=1)
    await limiter.admit(subjects)
    refused = await limiter.admit(subjects)
    refused.end()
    assert (await limiter.admit(subjects)).verdict.exceeded is not None


async def test_a_silent_store_is_waited_for_no_longer_than_the_deadline_and_then_left_alone() -> None:
    async with silent_store() as url:
        limiter = limiter_of(url, breaker=Breaker(failures=5, open_seconds=60))
        subjects = key(requests_per_minute=8)
        times, admitted = [], []
        async with limiter.running():
            for _ in range(10):
                started = time.perf_counter()
                admission = await limiter.admit(subjects)
                times.append(time.perf_counter() - started)
                admitted.append(admission.verdict.exceeded is None)
            assert limiter.degraded
        assert admitted == [True] * 8 + [False] * 2, "its own counts hold"
        assert max(times) < DEADLINE_SECONDS + 0.3
        assert max(times[5:]) < DEADLINE_SECONDS / 2, "the breaker is open"
        assert limiter.counts.shared_failures == 5
        assert limiter.counts.counted_alone == 10


async def test_a_store_that_is_gone_refuses_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"redis://127.0.0.1:{gone.getsockname()[1]}/0"
    limiter = limiter_of(url)
    admission = await limiter.admit(key(requests_per_minute=1))
    assert admission.verdict.exceeded is None
    assert limiter.counts.counted_alone == 1
    admission.end()


async def test_the_settings_name_the_store() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = SecretStr(f"redis://127.0.0.1:{gone.getsockname()[1]}/0")
    async with open_limiter(EdgeSettings(valkey_url=url)) as limiter:
        await limiter.admit(key(requests_per_minute=1))
        assert limiter.counts.counted_alone == 1
    async with open_limiter(EdgeSettings()) as limiter:
        await limiter.admit(key(requests_per_minute=1))
        assert limiter.counts.counted_alone == 0


@needs_valkey
async def test_a_store_that_is_back_is_used_again_and_own_counts_were_kept_meanwhile() -> None:
    now = [0.0]
    limiter = limiter_of(VALKEY_URL, breaker=Breaker(failures=1, open_seconds=60, timer=lambda: now[0]))
    shared = limiter._shared
    assert shared is not None
    working, subjects = shared._client, key(requests_per_minute=1000)
    async with silent_store() as url, limiter.running():
        await limiter.admit(subjects)
        shared._admit.registered_client = connect(url)
        alone = await limiter.admit(subjects)
        assert limiter.degraded
        assert alone.verdict.uses[0].requests == 2, "the one that the store counted is known here too"
        shared._admit.registered_client = working
        await limiter.admit(subjects)
        assert limiter.degraded, "not before the breaker's time"
        now[0] = 61
        again = await limiter.admit(subjects)
        assert not limiter.degraded
        assert again.verdict.uses[0].requests == 2
        await shared._client.delete(*shared._keys(subjects))


@needs_valkey
async def test_the_end_of_a_request_is_told_to_the_store() -> None:
    limiter = limiter_of(VALKEY_URL)
    subjects = key(concurrent_requests=1, tokens_per_minute=100)
    shared = limiter._shared
    assert shared is not None
    async with limiter.running():
        admission = await limiter.admit(subjects, tokens=50)
        admission.note_tokens(7)
        admission.note_tokens(5)
        admission.end()
        async with asyncio.timeout(5):
            while (await limiter.look(subjects)).uses[0].running:
                await asyncio.sleep(0.01)
        assert (await limiter.look(subjects)).uses[0].tokens == 12
        await shared._client.delete(*shared._keys(subjects))


async def slots_taken(store: SharedLimits, subjects: list[Subject]) -> int:
    return (await store.look(subjects)).uses[0].running


async def wait_for_slots(store: SharedLimits, subjects: list[Subject], wanted: int) -> None:
    async with asyncio.timeout(5):
        while await slots_taken(store, subjects) != wanted:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def late_limiter(
    subjects: list[Subject], local: LocalLimits | None = None
) -> AsyncIterator[tuple[Limiter, LateStore, SharedLimits]]:
    """A limiter whose store can be made to answer late, and a way to look into the store meanwhile."""
    prefix = f"nearedge-test:{uuid.uuid4().hex}"
    truth = SharedLimits(connect(VALKEY_URL), prefix=prefix)
    async with LateStore().running() as store:
        limiter = Limiter(
            local, SharedLimits(connect(store.url), prefix=prefix), deadline_seconds=DEADLINE_SECONDS
        )
        async with limiter.running():
            await limiter.look(subjects)  # a connection, and the script
            yield limiter, store, truth
    await truth._client.delete(*truth._keys(subjects))
    await truth.close()


@needs_valkey
async def test_a_request_that_was_counted_too_late_gives_its_slot_back_when_it_ends() -> None:
    subjects = key(concurrent_requests=2, tokens_per_minute=100)
    async with late_limiter(subjects) as (limiter, store, truth):
        store.answers.clear()
        admission = await limiter.admit(subjects, tokens=30)
        assert limiter.counts.counted_alone == 1
        store.answers.set()
        await wait_for_slots(truth, subjects, 1)
        admission.note_tokens(7)
        admission.end()
        await wait_for_slots(truth, subjects, 0)
        assert (await truth.look(subjects)).uses[0].tokens == 30, "nobody knew that they were counted"


@needs_valkey
async def test_a_slot_of_a_request_that_was_refused_alone_is_given_back_at_once() -> None:
    subjects, local = key(concurrent_requests=1), LocalLimits()
    local.admit(subjects)
    async with late_limiter(subjects, local) as (limiter, store, truth):
        store.answers.clear()
        refused = await limiter.admit(subjects)
        assert refused.verdict.exceeded is not None
        store.answers.set()
        await wait_for_slots(truth, subjects, 0)
        assert limiter._shared is not None
        assert not limiter._shared._held
        assert (await limiter.admit(subjects)).verdict.exceeded is None


@needs_valkey
async def test_a_slot_of_a_request_whose_client_left_while_the_store_was_asked_is_given_back() -> None:
    subjects = key(concurrent_requests=1)
    async with late_limiter(subjects) as (limiter, store, truth):
        store.answers.clear()
        limiter._deadline = 10
        asking = asyncio.create_task(limiter.admit(subjects))
        await wait_for_slots(truth, subjects, 1)
        asking.cancel()
        store.answers.set()
        await wait_for_slots(truth, subjects, 0)


@needs_valkey
async def test_a_store_that_goes_on_being_late_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETELL_SECONDS", 0.05)
    told = 0
    drop = SharedLimits.drop

    async def fail_twice(*arguments: Any) -> None:
        nonlocal told
        told += 1
        if told < 3:
            raise OSError("the connection broke")
        await drop(*arguments)

    monkeypatch.setattr(SharedLimits, "drop", fail_twice)
    subjects = key(concurrent_requests=1)
    async with late_limiter(subjects) as (limiter, store, truth):
        store.answers.clear()
        admission = await limiter.admit(subjects)
        store.answers.set()
        await wait_for_slots(truth, subjects, 1)
        admission.end()
        await wait_for_slots(truth, subjects, 0)
        await asyncio.sleep(0.1)
        assert told == 3


@needs_valkey
async def test_nothing_needs_telling_where_only_requests_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = limiter_of(VALKEY_URL)
    subjects = key(requests_per_minute=5)
    shared = limiter._shared
    assert shared is not None

    async def leave(*_: object, **__: object) -> None:
        raise AssertionError("a second round trip")

    monkeypatch.setattr(SharedLimits, "leave", leave)
    async with limiter.running():
        (await limiter.admit(subjects)).end()
        await asyncio.sleep(0.05)
    client: Redis = connect(VALKEY_URL)
    await client.delete(*shared._keys(subjects))
    await client.aclose()


async def test_a_process_that_was_held_up_reads_the_answer_that_has_come_meanwhile() -> None:
    async def answer() -> str:
        await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        return "here"

    asyncio.get_running_loop().call_soon(time.sleep, 0.2)
    assert await within(0.05, answer()) == "here"


async def test_work_that_is_late_by_itself_is_cancelled() -> None:
    cancelled = False

    async def never() -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled = True
            raise

    with pytest.raises(TimeoutError):
        await within(0.02, never())
    await asyncio.sleep(0)
    assert cancelled


@needs_valkey
async def test_a_crowd_at_one_edge_takes_turns_and_is_counted_exactly() -> None:
    """However many ask at once, that the store has no connection left for each is no failure of it."""
    shared = SharedLimits(connect(VALKEY_URL), prefix=f"nearedge-test:{uuid.uuid4().hex}")
    limiter = Limiter(LocalLimits(), shared, deadline_seconds=0.25)
    async with limiter.running():
        admitted = await asyncio.gather(
            *(limiter.admit(key(requests_per_minute=100_000)) for _ in range(500))
        )
        assert limiter.counts.counted_alone == 0
        assert not limiter.degraded
        assert max(one.verdict.uses[0].requests for one in admitted) == 500
