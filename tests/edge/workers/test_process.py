import os
import signal
from dataclasses import replace
from pathlib import Path

import anyio
import psutil
import pytest

from edge.errors import InvalidField, WorkerFailed
from edge.workers import process as module
from edge.workers.messages import Generate, Generated, Text
from edge.workers.process import StartError, WorkerProcess
from tests.edge.workers.conftest import Order

pytestmark = pytest.mark.anyio

START_SECONDS = 30.0


def workers() -> list[int]:
    """Return the pids of this process's workers, other tests' among them."""
    return [child.pid for child in psutil.Process().children() if "edge.workers.child" in child.cmdline()]


async def text_of(worker: WorkerProcess, prompt: str) -> str:
    stream = await worker.submit([Generate(prompt=prompt)])
    return "".join([event.text async for _, event in stream if isinstance(event, Text)])


async def test_many_requests_share_one_connection(order: Order) -> None:
    worker = await WorkerProcess.start(order(), start_seconds=START_SECONDS)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.serve)
            assert worker.info == {"context_tokens": 7}
            answers: dict[int, str] = {}

            async def ask(number: int) -> None:
                answers[number] = await text_of(worker, f"say {'ab' * number}")

            async with anyio.create_task_group() as asking:
                for number in range(1, 21):
                    asking.start_soon(ask, number)
            assert answers == {number: "ab" * number for number in range(1, 21)}
            tasks.cancel_scope.cancel()
    finally:
        await worker.stop()
    assert not psutil.pid_exists(worker.pid)


async def test_one_stream_may_carry_several_requests(order: Order) -> None:
    worker = await WorkerProcess.start(order(), start_seconds=START_SECONDS)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.serve)
            stream = await worker.submit([Generate(prompt="say ab"), Generate(prompt="say c")])
            events = [item async for item in stream]
            assert [event for index, event in events if index == 0] == [
                Text("a"),
                Text("b"),
                Generated("stop", 1, 2),
            ]
            assert [event for index, event in events if index == 1] == [Text("c"), Generated("stop", 1, 1)]
            tasks.cancel_scope.cancel()
    finally:
        await worker.stop()


async def test_errors_end_their_request_alone(order: Order) -> None:
    worker = await WorkerProcess.start(order(), start_seconds=START_SECONDS)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.serve)
            with pytest.raises(InvalidField, match="shorter"):
                await text_of(worker, "refuse make it shorter")
            with pytest.raises(WorkerFailed, match="RuntimeError") as caught:
                await text_of(worker, "fail secret-of-the-engine")
            assert "secret" not in caught.value.detail
            assert await text_of(worker, "say still here") == "still here"
            tasks.cancel_scope.cancel()
    finally:
        await worker.stop()


async def test_closing_a_stream_cancels_it_in_the_worker(order: Order, tmp_path: Path) -> None:
    worker = await WorkerProcess.start(order(), start_seconds=START_SECONDS)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.serve)
            marker = tmp_path / "marker"
            stream = await worker.submit([Generate(prompt=f"forever {marker}")])
            await anext(stream)
            stream.close()
            with anyio.fail_after(10):
                while not marker.exists():
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    finally:
        await worker.stop()


async def test_a_crash_ends_every_request_with_an_error(order: Order) -> None:
    worker = await WorkerProcess.start(order(), start_seconds=START_SECONDS)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.serve)
            waiting = await worker.submit([Generate(prompt="wait")])
            with pytest.raises(WorkerFailed, match="died"):
                await text_of(worker, "crash")
            with pytest.raises(WorkerFailed, match="died"):
                await anext(waiting)
        with pytest.raises(WorkerFailed):
            await worker.submit([Generate(prompt="say too late")])
    finally:
        await worker.stop()


async def test_a_worker_that_hangs_is_killed(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.1)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.3)
    worker = await WorkerProcess.start(order(), start_seconds=START_SECONDS)
    try:
        os.kill(worker.pid, signal.SIGSTOP)
        with anyio.fail_after(10):
            await worker.serve()
    finally:
        await worker.stop()
    assert not psutil.pid_exists(worker.pid)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fail": "bad weights"}, "bad weights"), ({"die": True}, "died"), ({"sleep": 30}, "within 0.7 s")],
)
async def test_a_model_that_does_not_load_says_why(
    order: Order, options: dict[str, object], message: str
) -> None:
    before = set(workers())
    with pytest.raises(StartError, match=message):
        await WorkerProcess.start(
            order(**options), start_seconds=0.7 if "sleep" in options else START_SECONDS
        )
    assert set(workers()) <= before


async def test_the_worker_ends_when_its_gateway_is_gone(order: Order) -> None:
    worker = await WorkerProcess.start(order(), start_seconds=START_SECONDS)
    child = psutil.Process(worker.pid)
    await worker.submit([Generate(prompt="forever")])
    worker._writer.close()  # what the kernel does for a gateway that was killed
    with anyio.fail_after(10):
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            await anyio.sleep(0.01)
    await worker.stop()


async def test_a_model_gives_way_as_its_order_says(order: Order) -> None:
    before = psutil.Process().nice()
    worker = await WorkerProcess.start(replace(order(), nice=2), start_seconds=START_SECONDS)
    try:
        # The engine's threads are those of the thread that loaded it.
        assert psutil.Process(worker.pid).nice() == min(19, before + 2)
    finally:
        await worker.stop()
    assert psutil.Process().nice() == before
