import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import anyio
import pytest
from redis.asyncio import Redis

from edge.accounts import Limits
from edge.accounts.limits import Limit, Subject, Use, Verdict
from edge.accounts.limits_shared import SharedLimits, connect, new_lease
from tests.valkey import VALKEY_URL, needs_valkey

pytestmark = [pytest.mark.anyio, needs_valkey]

HOUR = 3600
"""A window that no test sees the end of; one that it does is told so."""


@pytest.fixture
async def client() -> AsyncIterator[Redis]:
    client = connect(VALKEY_URL)
    yield client
    await client.aclose()


@pytest.fixture
async def prefix(client: Redis) -> AsyncIterator[str]:
    """A prefix of this test alone; its keys are gone after it."""
    name = f"nearedge-test:{uuid.uuid4().hex}"
    yield name
    async for key in client.scan_iter(f"{name}:*"):
        await client.delete(key)


def key(**limits: int) -> Subject:
    return Subject("key", "k", "t", Limits(**limits))


async def admit(limits: SharedLimits, subjects: Sequence[Subject], *, tokens: int = 0) -> tuple[Verdict, str]:
    lease = new_lease()
    return await limits.admit(subjects, lease, tokens=tokens), lease


async def test_exactly_the_limit_is_admitted(client: Redis, prefix: str) -> None:
    edges = [SharedLimits(client, prefix=prefix, window_seconds=HOUR) for _ in range(2)]
    subjects = [key(requests_per_minute=3)]
    verdicts = [(await admit(edges[turn % 2], subjects))[0] for turn in range(5)]
    assert [verdict.exceeded is None for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.uses[0].requests for verdict in verdicts] == [1, 2, 3, 3, 3]
    assert verdicts[-1].exceeded == (subjects[0], Limit.REQUESTS)
    assert verdicts[0].window % HOUR == 0
    assert 0 < verdicts[0].reset - verdicts[0].now <= HOUR


async def test_a_window_ends_at_its_boundary_and_its_keys_expire(client: Redis, prefix: str) -> None:
    limits = SharedLimits(client, prefix=prefix, window_seconds=1)
    subjects = [key(requests_per_minute=1)]
    first, _ = await admit(limits, subjects)
    await asyncio.sleep(first.reset - first.now + 0.01)
    second, _ = await admit(limits, subjects)
    assert second.exceeded is None
    assert second.window == first.window + 1
    async for name in client.scan_iter(f"{prefix}:*"):
        assert 0 <= await client.ttl(name) <= 2


async def test_a_request_that_one_limit_refuses_counts_against_none(client: Redis, prefix: str) -> None:
    limits = SharedLimits(client, prefix=prefix, window_seconds=HOUR)
    own, tenant = key(requests_per_minute=10), Subject("tenant", "t", "t", Limits(requests_per_minute=1))
    assert (await admit(limits, [own, tenant]))[0].exceeded is None
    assert (await admit(limits, [own, tenant]))[0].exceeded == (tenant, Limit.REQUESTS)
    assert (await limits.look([own, tenant])).uses == (Use(requests=1), Use(requests=1))


async def test_a_slot_is_free_again_when_a_request_ends(client: Redis, prefix: str) -> None:
    limits = SharedLimits(client, prefix=prefix, window_seconds=HOUR)
    subjects = [key(concurrent_requests=1)]
    verdict, lease = await admit(limits, subjects)
    assert (await admit(limits, subjects))[0].exceeded == (subjects[0], Limit.CONCURRENT)
    limits.forget(lease)
    await limits.leave(subjects, lease, verdict.window, reserved_tokens=0, used_tokens=0)
    assert (await admit(limits, subjects))[0].exceeded is None


async def test_a_slot_of_an_edge_that_has_died_is_free_after_its_lease(client: Redis, prefix: str) -> None:
    dead = SharedLimits(client, prefix=prefix, window_seconds=HOUR, lease_seconds=1)
    alive = SharedLimits(client, prefix=prefix, window_seconds=HOUR, lease_seconds=1)
    subjects = [key(concurrent_requests=2)]
    await admit(dead, subjects)
    await admit(alive, subjects)
    assert (await admit(alive, subjects))[0].exceeded is not None
    for _ in range(4):
        await asyncio.sleep(0.3)
        await alive.refresh()
    verdict = await alive.look(subjects)
    assert verdict.uses[0].running == 1, "the one that is renewed"


async def test_a_lease_that_was_given_back_is_not_renewed_into_being(client: Redis, prefix: str) -> None:
    limits = SharedLimits(client, prefix=prefix, window_seconds=HOUR)
    subjects = [key(concurrent_requests=1)]
    verdict, lease = await admit(limits, subjects)
    await limits.leave(subjects, lease, verdict.window, reserved_tokens=0, used_tokens=0)
    await limits.refresh()
    assert (await limits.look(subjects)).uses[0].running == 0


async def test_a_lease_that_may_have_been_counted_is_dropped_and_its_tokens_stay(
    client: Redis, prefix: str
) -> None:
    limits = SharedLimits(client, prefix=prefix, window_seconds=HOUR)
    subjects = [key(concurrent_requests=2, tokens_per_minute=100)]
    _, lease = await admit(limits, subjects, tokens=30)
    await limits.drop(subjects, "of a request that was never counted")
    assert (await limits.look(subjects)).uses == (Use(1, 30, 1),)
    await limits.drop(subjects, lease)
    assert (await limits.look(subjects)).uses == (Use(1, 30, 0),)


async def test_tokens_are_counted_before_and_settled_after(client: Redis, prefix: str) -> None:
    limits = SharedLimits(client, prefix=prefix, window_seconds=HOUR)
    subjects = [key(tokens_per_minute=100)]
    verdict, lease = await admit(limits, subjects, tokens=90)
    assert (await admit(limits, subjects, tokens=20))[0].exceeded == (subjects[0], Limit.TOKENS)
    await limits.leave(subjects, lease, verdict.window, reserved_tokens=90, used_tokens=30)
    assert (await limits.look(subjects)).uses[0].tokens == 30
    await limits.leave(subjects, lease, verdict.window - HOUR, reserved_tokens=90, used_tokens=30)
    assert (await limits.look(subjects)).uses[0].tokens == 30, "unused ones of a window that has ended"
    await limits.leave(subjects, lease, verdict.window - HOUR, reserved_tokens=10, used_tokens=30)
    assert (await limits.look(subjects)).uses[0].tokens == 50


async def test_an_admission_is_one_round_trip(client: Redis, prefix: str) -> None:
    limits = SharedLimits(client, prefix=prefix, window_seconds=HOUR)
    subjects = [
        key(requests_per_minute=9, tokens_per_minute=9, concurrent_requests=9),
        Subject("tenant", "t", "t", Limits(9, 9, 9)),
    ]
    await admit(limits, subjects, tokens=1)
    sent: list[object] = []
    original: Callable[..., Awaitable[object]] = client.execute_command

    async def spy(*arguments: object, **options: object) -> object:
        sent.append(arguments[0])
        return await original(*arguments, **options)

    client.execute_command = spy  # type: ignore[method-assign]
    await admit(limits, subjects, tokens=1)
    assert sent == ["EVALSHA"]


PROCESS = """
import asyncio, sys
from edge.accounts import Limits
from edge.accounts.limits import Subject
from edge.accounts.limits_shared import SharedLimits, connect, new_lease

async def main():
    url, prefix, limit, tries = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    client = connect(url)
    limits = SharedLimits(client, prefix=prefix, window_seconds=3600)
    subjects = [Subject("key", "k", "t", Limits(requests_per_minute=limit))]
    async def one():
        async with gate:
            return (await limits.admit(subjects, new_lease())).exceeded is None
    gate = asyncio.Semaphore(32)
    print(sum(await asyncio.gather(*(one() for _ in range(tries)))))

asyncio.run(main())
"""


async def test_several_processes_admit_exactly_the_limit_together(prefix: str) -> None:
    limit, tries = 501, 250
    command = [sys.executable, "-c", PROCESS, VALKEY_URL, prefix, str(limit), str(tries)]
    admitted: list[int] = []

    async def run() -> None:
        done = await anyio.run_process(command)
        admitted.append(int(done.stdout))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(run)
    assert sum(admitted) == limit
