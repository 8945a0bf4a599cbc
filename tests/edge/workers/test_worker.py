from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ModelNotReady, NoCapacity, WorkerFailed
from edge.workers import process
from edge.workers.messages import Generate, Load, Text
from edge.workers.worker import State, Worker, backoff_seconds
from tests.edge.workers.conftest import Order


@asynccontextmanager
async def running(order: Load, queue_limit: int = 4) -> AsyncIterator[Worker]:
    worker = Worker("test", order, queue_limit=queue_limit, start_seconds=30)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        try:
            yield worker
        finally:
            tasks.cancel_scope.cancel()


async def ask(worker: Worker, prompt: str) -> str:
    async with worker.request(Generate(prompt=prompt)) as stream:
        return "".join([event.text async for _, event in stream if isinstance(event, Text)])


async def until(worker: Worker, state: State) -> None:
    with anyio.fail_after(30):
        while worker.state is not state:
            await anyio.sleep(0.01)


async def until_empty(worker: Worker) -> None:
    with anyio.fail_after(10):
        while worker.in_flight:
            await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_a_request_waits_for_the_model_to_load(order: Order) -> None:
    async with running(order()) as worker:
        assert worker.state == "loading"
        assert await ask(worker, "say hello") == "hello"
        assert worker.state == "loaded"
        assert worker.info == {"context_tokens": 7}
    assert worker.state == "unloaded"
    assert worker.pid is None


@pytest.mark.anyio
async def test_a_worker_that_dies_is_replaced(order: Order) -> None:
    async with running(order()) as worker:
        await until(worker, State.LOADED)
        before = worker.pid
        with pytest.raises(WorkerFailed):
            await ask(worker, "crash")
        assert await ask(worker, "say again") == "again"
        assert worker.pid not in {None, before}
        assert worker.in_flight == 0


@pytest.mark.anyio
async def test_a_model_that_fails_to_load_is_tried_again(order: Order, tmp_path: Path) -> None:
    async with running(order({"fail_once": str(tmp_path / "marker")})) as worker:
        await until(worker, State.LOADED)
        assert (tmp_path / "marker").exists()


@pytest.mark.anyio
async def test_a_model_that_does_not_load_is_not_waited_for(order: Order) -> None:
    async with running(order(fail="bad weights")) as worker:
        await until(worker, State.FAILED)
        with pytest.raises(ModelNotReady):
            await ask(worker, "say hello")


@pytest.mark.anyio
async def test_the_queue_is_bounded_and_empties_again(order: Order) -> None:
    async with running(order(), queue_limit=2) as worker:
        async with worker.request(Generate(prompt="forever")), worker.request(Generate(prompt="forever")):
            assert worker.in_flight == 2
            with pytest.raises(NoCapacity) as caught:
                await ask(worker, "say no")
            assert caught.value.headers["Retry-After"] == "1"
        await until_empty(worker)
        assert await ask(worker, "say yes") == "yes"
        with pytest.raises(NoCapacity):
            async with worker.request(*[Generate(prompt="say a")] * 3):
                pass


@pytest.mark.anyio
async def test_a_request_that_is_cancelled_leaves_no_trace(order: Order) -> None:
    async with running(order()) as worker:
        await until(worker, State.LOADED)
        with anyio.move_on_after(0.2):
            await ask(worker, "forever")
        await until_empty(worker)
        assert await ask(worker, "say next") == "next"


@pytest.mark.anyio
async def test_a_worker_that_is_killed_while_it_loads_is_replaced(order: Order, tmp_path: Path) -> None:
    async with running(order({"die_once": str(tmp_path / "marker")})) as worker:
        assert worker.state == "loading"
        await until(worker, State.LOADED)
        assert (tmp_path / "marker").exists()
        assert await ask(worker, "say here") == "here"


@pytest.mark.anyio
async def test_a_process_that_cannot_be_started_is_tried_again(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    async with running(order()) as worker:
        await until(worker, State.FAILED)
        monkeypatch.undo()
        await until(worker, State.LOADED)


@pytest.mark.anyio
async def test_a_place_in_the_queue_is_free_only_when_the_engine_lets_go(order: Order) -> None:
    async with running(order(), queue_limit=1) as worker:
        async with worker.request(Generate(prompt="stubborn 1")) as stream:
            await anext(stream)
        assert worker.in_flight == 1
        with pytest.raises(NoCapacity):
            await ask(worker, "say too early")
        await until_empty(worker)
        assert await ask(worker, "say now") == "now"


@pytest.mark.anyio
async def test_an_engine_that_ignores_cancellation_is_replaced(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PING_SECONDS", 0.05)
    monkeypatch.setattr(process, "STUCK_SECONDS", 0.2)
    async with running(order()) as worker:
        async with worker.request(Generate(prompt="stubborn 60")) as stream:
            await anext(stream)
            before = worker.pid
        with anyio.fail_after(10):
            while worker.pid == before:
                await anyio.sleep(0.01)
        assert await ask(worker, "say again") == "again"


@given(failures=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_is_bounded_and_never_shrinks(failures: int, jitter: float) -> None:
    wait = backoff_seconds(failures, jitter=jitter)
    assert 0 <= wait <= 30
    assert backoff_seconds(failures + 1, jitter=jitter) >= wait
    assert backoff_seconds(0, jitter=jitter) == 0
