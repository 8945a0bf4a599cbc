import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ModelNotLoaded, ModelNotReady, NoCapacity, WorkerFailed
from edge.workers import process
from edge.workers.messages import Generate, Load, Text
from edge.workers.process import StartError
from edge.workers.stream import EventStream
from edge.workers.worker import Prepare, State, Tell, Worker, backoff_seconds
from tests.edge.workers.conftest import Order


def ready(order: Load) -> Prepare:
    async def prepare(_tell: Tell) -> Load:
        return order

    return prepare


@asynccontextmanager
async def running(order: Load, queue_limit: int = 4, persistent: bool = True) -> AsyncIterator[Worker]:
    worker = Worker("test", ready(order), queue_limit=queue_limit, start_seconds=30, persistent=persistent)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        try:
            yield worker
        finally:
            tasks.cancel_scope.cancel()


async def texts(stream: EventStream) -> str:
    return "".join([event.text async for _, event in stream if isinstance(event, Text)])


async def ask(worker: Worker, prompt: str) -> str:
    async with worker.request(Generate(prompt=prompt)) as stream:
        return await texts(stream)


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
        assert worker.info == {"context_tokens": 7}
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


@pytest.mark.anyio
async def test_a_worker_that_is_not_persistent_gives_up(order: Order) -> None:
    worker = Worker(
        "test", ready(order(fail="bad weights")), queue_limit=1, start_seconds=30, persistent=False
    )
    with anyio.fail_after(30):
        await worker.run()
    assert worker.state is State.FAILED
    assert not worker.active
    assert worker.failure is not None
    assert "bad weights" in worker.failure.message
    with pytest.raises(ModelNotLoaded):
        await ask(worker, "say hello")


@pytest.mark.anyio
async def test_once_loaded_it_is_kept_alive_all_the_same(order: Order) -> None:
    async with running(order(), persistent=False) as worker:
        assert await worker.settled() is State.LOADED
        with pytest.raises(WorkerFailed, match="restarted"):
            await ask(worker, "crash")
        assert await ask(worker, "say again") == "again"


@pytest.mark.anyio
async def test_a_start_that_failed_is_tried_at_once_when_asked(order: Order, tmp_path: Path) -> None:
    tries = []

    async def prepare(tell: Tell) -> Load:
        tries.append(worker.progress)
        tell(f"try {len(tries)}")
        if len(tries) <= 9:
            raise StartError("not yet")
        return order()

    worker = Worker("test", prepare, queue_limit=1, start_seconds=30)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        with anyio.fail_after(15):  # with its backoff it would take 25 s
            for number in range(1, 10):
                assert await worker.settled() is State.FAILED
                assert worker.progress == f"try {number}, for 0 s"
                worker.retry()
                assert (worker.state, worker.failure) == (State.LOADING, None)
            assert await worker.settled() is State.LOADED
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_closed_worker_lets_no_request_hang(order: Order) -> None:
    async with running(order()) as worker, worker.request(Generate(prompt="forever")) as stream:
        await anext(stream)
        worker.close("The model was unloaded")
        assert (worker.state, worker.active, worker.in_flight) == (State.UNLOADED, False, 0)
        with pytest.raises(WorkerFailed, match="The model was unloaded"):
            await texts(stream)
        with pytest.raises(ModelNotLoaded, match="Model not loaded: test"):
            await ask(worker, "say hello")
    assert worker.pid is None


@pytest.mark.anyio
async def test_who_waits_for_a_worker_that_is_closed_is_told(order: Order) -> None:
    async with running(order(sleep=30)) as worker:
        errors = []

        async def wait() -> None:
            try:
                await ask(worker, "say hello")
            except ModelNotLoaded as error:
                errors.append(error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            with anyio.fail_after(10):
                while worker.in_flight == 0:
                    await anyio.sleep(0.01)
            worker.close("The model was unloaded")
        assert errors == ["model_not_loaded"]


@pytest.mark.anyio
async def test_a_state_is_never_left_once_it_is_closed(order: Order) -> None:
    async with running(order()) as worker:
        await until(worker, State.LOADED)
        process = worker.pid
        assert process is not None
        worker.close("The model was unloaded")
        os.kill(process, signal.SIGKILL)
        await anyio.sleep(0.3)
        assert worker.state is State.UNLOADED
