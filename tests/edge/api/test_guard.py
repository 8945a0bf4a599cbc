import time
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.accounts import Limits
from edge.accounts.limiter import Limiter
from edge.api.guard import Rules
from edge.errors import InvalidField
from tests.edge.api.guarded import PATH, guarded, key_of

pytestmark = pytest.mark.anyio


async def echo(request: Request) -> Response:
    return JSONResponse({"key": request.state.key.id, "body": (await request.body()).decode()})


async def fail(request: Request) -> Response:
    raise RuntimeError("a bug")


async def refuse(request: Request) -> Response:
    raise InvalidField("x: no", param="x")


def rate(response: httpx.Response) -> tuple[int, int, int]:
    limit, remaining, reset = (
        int(response.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")
    )
    return limit, remaining, reset


async def test_every_answer_says_how_the_caller_stands(tmp_path: Path) -> None:
    async with guarded(tmp_path, echo, edge_requests_per_minute=3) as client:
        before = time.time()
        answers = [await client.post(PATH, content=b"x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [rate(answer)[:2] for answer in answers] == [(3, 2), (3, 1), (3, 0), (3, 0)]
    reset = rate(answers[-1])[2]
    assert reset % 60 == 0
    assert before < reset <= before + 61
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    body = answers[-1].json()
    assert body["detail"].startswith("Rate limit exceeded: 3 requests a minute per key")
    assert body["error"]["type"] == "rate_limit_error"
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert answers[0].json() == {"key": "k", "body": "x"}


@pytest.mark.parametrize(("handler", "status"), [(fail, 500), (refuse, 400)])
async def test_errors_say_it_too(tmp_path: Path, handler: object, status: int) -> None:
    async with guarded(tmp_path, handler, edge_requests_per_minute=3) as client:  # type: ignore[arg-type]
        answer = await client.post(PATH)
    assert answer.status_code == status
    assert rate(answer)[:2] == (3, 2)
    assert "a bug" not in answer.text


async def test_operations_that_are_not_limited_count_nothing(tmp_path: Path) -> None:
    async with guarded(tmp_path, echo, rules=Rules(), edge_requests_per_minute=1) as client:
        answers = [await client.post(PATH) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert "X-RateLimit-Limit" not in answers[0].headers


async def test_keys_count_apart_and_their_tenant_counts_them_together(tmp_path: Path) -> None:
    shared = Limits(requests_per_minute=3)
    keys = {
        "pg_a": key_of(Limits(requests_per_minute=2), tenant_limits=shared, name="a"),
        "pg_b": key_of(Limits(requests_per_minute=2), tenant_limits=shared, name="b"),
    }
    async with guarded(tmp_path, echo, keys=keys) as client:
        statuses = []
        for raw in ("pg_a", "pg_a", "pg_a", "pg_b", "pg_b"):
            answer = await client.post(PATH, headers={"Authorization": f"Bearer {raw}"})
            statuses.append(answer.status_code)
    assert statuses == [200, 200, 429, 200, 429]
    assert "3 requests a minute per tenant" in answer.text


async def test_requests_at_a_time_are_limited_until_they_end(tmp_path: Path) -> None:
    go, running = anyio.Event(), anyio.Semaphore(0)

    async def wait(request: Request) -> Response:
        running.release()
        await go.wait()
        return Response()

    answers: list[httpx.Response] = []
    async with guarded(tmp_path, wait, keys={"pg_k": key_of(Limits(concurrent_requests=2))}) as client:

        async def ask() -> None:
            answers.append(await client.post(PATH))

        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(ask)
                await running.acquire()
            await ask()
            assert answers[0].status_code == 429
            assert answers[0].headers["Retry-After"] == "1"
            assert "2 requests at a time" in answers[0].text
            go.set()
        assert [answer.status_code for answer in answers[1:]] == [200, 200]
        assert (await client.post(PATH)).status_code == 200


async def test_tokens_are_counted_before_and_settled_after(tmp_path: Path) -> None:
    async def use(request: Request) -> Response:
        assert await request.body() == b'{"max_tokens": 60}'
        request.state.admission.note_tokens(10)
        return Response()

    keys = {"pg_k": key_of(Limits(tokens_per_minute=100))}
    rules = Rules(limited=True, tokens=True)
    async with guarded(tmp_path, use, keys=keys, rules=rules) as client:
        statuses = [(await client.post(PATH, content=b'{"max_tokens": 60}')).status_code for _ in range(6)]
    assert statuses == [200] * 4 + [429] * 2, "10 are used by each, and 64 wanted by the next"


async def test_an_address_that_guesses_keys_is_slowed_down_and_good_keys_are_not(tmp_path: Path) -> None:
    async with guarded(tmp_path, echo, edge_requests_per_minute=2) as client:
        wrong = {"Authorization": "Bearer pg_wrong"}
        answers = [await client.post(PATH, headers=wrong) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert [rate(answer)[:2] for answer in answers] == [(2, 1), (2, 0), (2, 0)]
        assert (await client.post(PATH)).status_code == 200


async def test_without_limits_nothing_is_told(tmp_path: Path) -> None:
    async with guarded(tmp_path, echo, edge_requests_per_minute=0) as client:
        answers = [await client.post(PATH) for _ in range(120)]
    assert {answer.status_code for answer in answers} == {200}
    assert "X-RateLimit-Limit" not in answers[0].headers


async def test_a_repeat_is_not_counted_but_told(tmp_path: Path) -> None:
    limiter = Limiter()
    async with guarded(tmp_path, echo, limiter=limiter, edge_requests_per_minute=1) as client:
        headers = {"Idempotency-Key": "a"}
        answers = [await client.post(PATH, content=b"x", headers=headers) for _ in range(3)]
        other = await client.post(PATH, content=b"x")
        reused = await client.post(PATH, content=b"y", headers=headers)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [rate(answer)[:2] for answer in answers] == [(1, 0)] * 3
    assert other.status_code == 429
    assert (reused.status_code, rate(reused)[:2]) == (422, (1, 0))
