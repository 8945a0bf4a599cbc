from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from edge.api import repeats as module
from edge.api.guard import Rules
from edge.api.held_stream import HeldStream
from edge.api.leaving import unless_gone
from edge.errors import ClientGone, InvalidField, NoCapacity, WorkerFailed
from tests.edge.api.guarded import PATH, WORK, guarded, idempotency_of, key_of

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "order-1"}
JSON = {"Content-Type": "application/json", "X-Request-ID": "req_1764000000_0a1b2c3d4"}


class Work:
    """A handler that counts how often it runs, answers what it is told to, and can be held up."""

    def __init__(self, *outcomes: int | Exception) -> None:
        self.runs = 0
        self.left = 0
        self.go = anyio.Event()
        self.begun = anyio.Event()
        self.outcomes = list(outcomes)

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        self.runs += 1
        self.begun.set()
        try:
            await unless_gone(request.receive, self.go.wait())
        except ClientGone:
            self.left += 1
            raise
        outcome = self.outcomes.pop(0) if self.outcomes else 200
        if isinstance(outcome, Exception):
            raise outcome
        return JSONResponse(
            {"run": self.runs, "body": body.decode()}, outcome, headers={"X-Run": str(self.runs)}
        )

    def free(self) -> "Work":
        self.go.set()
        return self


def replayed(answer: httpx.Response) -> bool:
    return "true" in answer.headers.get_list("Idempotent-Replayed")


async def gather(count: int, ask: Callable[[], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    answers: list[httpx.Response] = []

    async def one() -> None:
        answers.append(await ask())

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
    return answers


async def test_a_repeat_gets_the_answer_of_the_first(tmp_path: Path) -> None:
    work = Work(201).free()
    async with guarded(tmp_path, work) as client:
        first, second = [await client.post(PATH, content=b"a", headers=KEY) for _ in range(2)]
        other = await client.post(PATH, content=b"a", headers={"Idempotency-Key": "order-2"})
    assert work.runs == 2
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first.headers["X-Run"] == second.headers["X-Run"] == "1"
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    assert not replayed(first)
    assert replayed(second)
    assert not replayed(other)


async def test_64_at_once_are_done_once(tmp_path: Path) -> None:
    work = Work()
    keys = {"pg_k": key_of()}
    async with guarded(tmp_path, work, keys=keys, edge_requests_per_minute=1) as client:

        async def let_go() -> None:
            await work.begun.wait()
            await anyio.sleep(0.1)
            work.go.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(let_go)
            answers = await gather(64, lambda: client.post(PATH, content=b"a", headers=KEY))
    assert work.runs == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum(replayed(answer) for answer in answers) == 63


@pytest.mark.parametrize("running", [True, False])
async def test_another_body_under_the_same_key_is_refused(tmp_path: Path, running: bool) -> None:
    work = Work()
    async with guarded(tmp_path, work) as client, anyio.create_task_group() as tasks:
        if not running:
            work.go.set()
        tasks.start_soon(lambda: client.post(PATH, content=b"a", headers=KEY))
        await work.begun.wait()
        await anyio.sleep(0.05)
        answer = await client.post(PATH, content=b"b", headers=KEY)
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "idempotency_key_reused"
        assert answer.json()["error"]["param"] == "Idempotency-Key"
        assert isinstance(answer.json()["detail"], str)
        work.go.set()
    assert work.runs == 1


@pytest.mark.parametrize("error", [InvalidField("x: no"), NoCapacity("full")])
async def test_what_was_refused_before_any_work_may_be_tried_again(tmp_path: Path, error: Exception) -> None:
    work = Work(error).free()
    async with guarded(tmp_path, work) as client:
        first = await client.post(PATH, content=b"a", headers=KEY)
        second = await client.post(PATH, content=b"corrected", headers=KEY)
    assert first.status_code in (400, 503)
    assert (second.status_code, work.runs) == (200, 2)


@pytest.mark.parametrize(("error", "status"), [(WorkerFailed("died"), 502), (RuntimeError("a bug"), 500)])
async def test_a_failure_of_the_work_is_an_answer_too(tmp_path: Path, error: Exception, status: int) -> None:
    work = Work(error).free()
    async with guarded(tmp_path, work) as client:
        answers = [await client.post(PATH, content=b"a", headers=KEY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status] * 2
    assert answers[0].json() == answers[1].json()
    assert work.runs == 1


async def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    work = Work().free()
    async with guarded(tmp_path, work) as client:
        answer = await client.post(PATH, headers={"Idempotency-Key": "k" * 256})
    assert answer.status_code == 400
    assert "255" in answer.json()["detail"]
    assert work.runs == 0


async def test_answers_are_still_there_after_a_restart(tmp_path: Path) -> None:
    work = Work().free()
    for _ in range(2):
        async with guarded(tmp_path, work) as client:
            answer = await client.post(PATH, content=b"a", headers=KEY)
    assert work.runs == 1
    assert replayed(answer)
    assert answer.json() == {"run": 1, "body": "a"}


async def test_the_same_request_id_with_the_same_body_is_done_once(tmp_path: Path) -> None:
    work = Work().free()
    async with guarded(tmp_path, work) as client:
        first, second = [await client.post(PATH, content=b'{"a":1}', headers=JSON) for _ in range(2)]
        other_body = await client.post(PATH, content=b'{"a":2}', headers=JSON)
        other_id = await client.post(PATH, content=b'{"a":1}', headers=JSON | {"X-Request-ID": "req_1_1"})
    assert first.content == second.content
    assert replayed(second)
    assert not replayed(other_body)
    assert not replayed(other_id)
    assert work.runs == 3


async def test_an_id_of_a_proxy_or_a_trace_stands_for_as_many_calls_as_are_made(
    tmp_path: Path,
) -> None:
    work = Work().free()
    async with guarded(tmp_path, work) as client:
        headers = JSON | {"X-Request-ID": "6f8f0c2e-7a55-4f0a-9d3c-0f4f2a1b9c3d"}
        answers = [await client.post(PATH, content=b"{}", headers=headers) for _ in range(2)]
    assert work.runs == 2
    assert not any(map(replayed, answers))


async def test_repeated_request_ids_may_be_left_alone(tmp_path: Path) -> None:
    work = Work().free()
    async with guarded(tmp_path, work, edge_request_id_seconds=0) as client:
        for _ in range(2):
            await client.post(PATH, content=b"{}", headers=JSON)
    assert work.runs == 2


async def pieces(work: Work) -> AsyncGenerator[bytes, None]:
    work.runs += 1
    yield b"data: 1\n\n"
    work.begun.set()
    await work.go.wait()
    yield b"data: 2\n\n"


async def test_a_stream_is_joined_while_it_runs_and_replayed_after(tmp_path: Path) -> None:
    work = Work()

    async def stream(request: Request) -> Response:
        return StreamingResponse(pieces(work), media_type="text/event-stream")

    async with guarded(tmp_path, stream) as client:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await client.post(PATH, content=b"a", headers=KEY))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await work.begun.wait()
            tasks.start_soon(ask)
            await anyio.sleep(0.05)
            assert idempotency_of(client).counts.replayed == 1, "it reads along"
            work.go.set()
        await ask()
    assert work.runs == 1
    assert {answer.content for answer in answers} == {b"data: 1\n\ndata: 2\n\n"}
    assert {answer.headers["Content-Type"].partition(";")[0] for answer in answers} == {"text/event-stream"}
    assert [replayed(answer) for answer in answers] == [False, True, True]


async def test_an_answer_that_broke_off_may_be_asked_for_again(tmp_path: Path) -> None:
    runs = 0

    async def broken(request: Request) -> Response:
        nonlocal runs
        runs += 1

        async def chunks() -> AsyncGenerator[bytes, None]:
            yield b"abc"
            if runs == 1:
                raise WorkerFailed("died")

        return HeldStream(chunks(), AsyncExitStack(), media_type="audio/pcm", headers={})

    async with guarded(tmp_path, broken) as client:
        with pytest.raises(AssertionError):  # httpx sees an answer without an end
            await client.post(PATH, content=b"a", headers=KEY)
        again = await client.post(PATH, content=b"a", headers=KEY)
        third = await client.post(PATH, content=b"a", headers=KEY)
    assert runs == 2
    assert again.content == third.content == b"abc"
    assert replayed(third)


def event_id(request: Request) -> str:
    """Return the id that the event of the request's next call would have if it went well."""
    work = request.state.events.name(WORK)
    return f"{work.event_id} {work.again}"


async def test_what_is_done_again_after_its_answer_broke_off_is_paid_once(tmp_path: Path) -> None:
    ids: list[str] = []

    async def broken(request: Request) -> Response:
        ids.append(event_id(request))

        async def chunks() -> AsyncGenerator[bytes, None]:
            yield b"abc"
            if len(ids) == 1:
                raise WorkerFailed("died")

        return HeldStream(chunks(), AsyncExitStack(), media_type="audio/pcm", headers={})

    async with guarded(tmp_path, broken) as client:
        with pytest.raises(AssertionError):
            await client.post(PATH, content=b"a", headers=KEY)
        assert (await client.post(PATH, content=b"a", headers=KEY)).status_code == 200
        await client.post(PATH, content=b"a", headers=KEY | {"Idempotency-Key": "order-2"})
    assert ids[0].replace("False", "True") == ids[1]
    assert ids[2].endswith("False")
    assert ids[2] != ids[0]


@pytest.mark.parametrize(("headers", "pays"), [(KEY, False), (JSON, True)])
async def test_what_an_edge_that_ends_breaks_off_is_paid_only_if_its_client_could_have_left(
    tmp_path: Path, headers: dict[str, str], pays: bool
) -> None:
    resumes: list[bool] = []

    async def note(request: Request) -> Response:
        resumes.append(request.state.events.name(WORK).resumes)
        return PlainTextResponse("done")

    async with guarded(tmp_path, note) as client:
        await client.post(PATH, content=b"{}", headers=headers)
    assert resumes == [not pays]


@pytest.mark.parametrize("error", [InvalidField("x: no"), NoCapacity("full")])
async def test_what_was_refused_and_then_done_is_paid(tmp_path: Path, error: Exception) -> None:
    ids: list[str] = []

    async def refuse_once(request: Request) -> Response:
        ids.append(event_id(request))
        if len(ids) == 1:
            raise error
        return PlainTextResponse("done")

    async with guarded(tmp_path, refuse_once) as client:
        for _ in range(3):
            await client.post(PATH, content=b"a", headers=KEY)
    assert len(set(ids)) == 2
    assert all(one.endswith("False") for one in ids)


async def test_a_stream_of_a_request_id_is_paid_as_often_as_it_is_given(tmp_path: Path) -> None:
    ids: list[str] = []

    async def speak(request: Request) -> Response:
        ids.append(event_id(request))
        return PlainTextResponse("done", media_type="audio/pcm")

    async with guarded(tmp_path, speak) as client:
        for _ in range(2):
            await client.post(PATH, content=b"{}", headers=JSON)
    assert len(set(ids)) == 2
    assert all(one.endswith("False") for one in ids)


async def test_an_answer_that_is_too_large_is_given_once(tmp_path: Path) -> None:
    async def large(request: Request) -> Response:
        return PlainTextResponse("x" * 5000)

    async with guarded(tmp_path, large) as client:
        first, second = [await client.post(PATH, content=b"a", headers=KEY) for _ in range(2)]
    assert (first.status_code, len(first.content)) == (200, 5000)
    assert second.status_code == 409
    assert second.json()["error"]["code"] == "idempotency_answer_not_kept"


async def leave(client: httpx.AsyncClient, work: Work, headers: dict[str, str]) -> None:
    """Ask, and leave once the work has begun."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: client.post(PATH, content=b"{}", headers=headers))
        await work.begun.wait()
        tasks.cancel_scope.cancel()


async def test_with_a_key_the_work_goes_on_when_the_client_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.01)
    work = Work()
    async with guarded(tmp_path, work) as client:
        await leave(client, work, KEY)
        await anyio.sleep(0.1)
        work.go.set()
        answer = await client.post(PATH, content=b"{}", headers=KEY)
    assert (work.runs, work.left, answer.json()["run"]) == (1, 0, 1)


async def test_with_a_request_id_it_goes_on_for_a_while(tmp_path: Path) -> None:
    work = Work()
    async with guarded(tmp_path, work) as client:
        await leave(client, work, JSON)
        await anyio.sleep(0.1)
        work.go.set()
        answer = await client.post(PATH, content=b"{}", headers=JSON)
    assert (work.runs, work.left, answer.json()["run"]) == (1, 0, 1)


async def test_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.05)
    work = Work()
    async with guarded(tmp_path, work) as client:
        await leave(client, work, JSON)
        with anyio.fail_after(5):
            while not work.left:
                await anyio.sleep(0.01)
        work.go.set()
        answer = await client.post(PATH, content=b"{}", headers=JSON)
    assert (work.runs, answer.json()["run"]) == (2, 2)


async def test_who_comes_while_abandoned_work_is_stopped_has_it_done_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.01)
    runs = 0
    begun, stopping = anyio.Event(), anyio.Event()

    async def slow_to_stop(request: Request) -> Response:
        nonlocal runs
        runs += 1
        begun.set()
        if runs > 1:
            return JSONResponse({"run": runs})
        await request.body()
        await request.receive()
        stopping.set()
        await anyio.sleep(0.2)
        raise ClientGone

    async with guarded(tmp_path, slow_to_stop) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.post(PATH, content=b"{}", headers=JSON))
            await begun.wait()
            tasks.cancel_scope.cancel()
        await stopping.wait()
        answer = await client.post(PATH, content=b"{}", headers=JSON)
    assert (answer.status_code, answer.json()) == (200, {"run": 2})


async def test_a_failure_to_keep_an_answer_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work().free()
    async with guarded(tmp_path, work) as client:

        async def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr(idempotency_of(client), "keep", fail)
            answer = await client.post(PATH, content=b"a", headers=KEY)
        assert answer.status_code == 200
        assert (await client.post(PATH, content=b"a", headers={"Idempotency-Key": "next"})).status_code == 200


async def test_a_sealed_answer_is_read_by_the_key_that_asked_for_it_alone(tmp_path: Path) -> None:
    keys = {"pg_a": key_of(name="a"), "pg_b": key_of(name="b")}
    work = Work().free()
    async with guarded(tmp_path, work, keys=keys, rules=Rules(sealed=True)) as client:
        answers = [await client.post(PATH, content=b"a", headers=KEY) for _ in range(2)]
        other = await client.post(PATH, content=b"a", headers=KEY | {"Authorization": "Bearer pg_b"})
    assert answers[0].json() == answers[1].json()
    assert other.status_code == 409
    assert work.runs == 1
    assert b'"run"' not in (tmp_path / "nearedge.db").read_bytes()
