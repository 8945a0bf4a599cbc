import gc
import time
import weakref

import anyio
import pytest

from edge.errors import InvalidField, WorkerFailed
from edge.workers import stream as module
from edge.workers.messages import Audio, Failed, Finished, Text
from edge.workers.stream import EventStream

pytestmark = pytest.mark.anyio


def make(size: int = 1) -> EventStream:
    return EventStream(size, lambda: None)


async def test_events_of_several_requests_come_in_order_with_their_index() -> None:
    stream = make(2)
    stream.put(0, Text("a"))
    stream.put(1, Text("b"))
    stream.end(Finished(1))
    stream.put(1, Text("c"))
    stream.end(Finished(2))
    assert [(index, event) async for index, event in stream] == [
        (0, Text("a")),
        (1, Text("b")),
        (1, Text("c")),
    ]


async def test_an_engine_refusal_names_the_field() -> None:
    stream = make()
    stream.end(Failed(1, "too long", True, "prompt"))
    with pytest.raises(InvalidField) as caught:
        await anext(stream)
    assert caught.value.param == "prompt"


async def test_what_came_before_a_failure_is_still_read() -> None:
    stream = make()
    stream.put(0, Text("a"))
    stream.fail("died")
    assert await anext(stream) == (0, Text("a"))
    with pytest.raises(WorkerFailed, match="died"):
        await anext(stream)


async def test_waiting_may_be_cancelled_without_losing_an_event() -> None:
    stream = make()
    with anyio.move_on_after(0.01):
        await anext(stream)
    stream.put(0, Text("a"))
    assert await anext(stream) == (0, Text("a"))


async def test_everything_that_is_there_is_taken_at_once() -> None:
    stream = make(2)
    stream.put(0, Text("a"))
    stream.put(1, Text("b"))
    assert await stream.take(1) == [(0, Text("a")), (1, Text("b"))]
    stream.put(0, Text("c"))
    stream.end(Finished(1))
    stream.end(Finished(2))
    assert await stream.take(1) == [(0, Text("c"))]
    with pytest.raises(StopAsyncIteration):
        await stream.take(1)


async def test_what_came_before_a_failure_is_still_taken() -> None:
    stream = make()
    stream.put(0, Text("a"))
    stream.end(Failed(1, "too long", True, "prompt"))
    assert await stream.take(1) == [(0, Text("a"))]
    with pytest.raises(InvalidField, match="too long"):
        await stream.take(1)


async def test_patience_ends_without_an_event_again_and_again() -> None:
    stream = make()
    for _ in range(3):
        started = time.monotonic()
        assert await stream.take(0.05) == []
        assert 0.04 < time.monotonic() - started < 2
    stream.put(0, Text("a"))
    assert await stream.take(0.05) == [(0, Text("a"))]


async def test_each_wait_has_its_own_patience() -> None:
    stream = make()
    async with anyio.create_task_group() as tasks:

        async def put() -> None:
            for _ in range(4):
                await anyio.sleep(0.2)
                stream.put(0, Text("a"))

        tasks.start_soon(put)
        for _ in range(4):  # 0.8 seconds in all, and never 0.6 without an event
            assert await stream.take(0.6) == [(0, Text("a"))]
    started = time.monotonic()
    assert await stream.take(0.3) == []
    assert time.monotonic() - started > 0.29
    stream.close()


async def test_taking_may_be_cancelled_without_losing_an_event() -> None:
    stream = make()
    with anyio.move_on_after(0.01):
        await stream.take(5)
    stream.put(0, Text("a"))
    assert await stream.take(5) == [(0, Text("a"))]


async def test_an_event_wakes_a_reader_that_waits() -> None:
    stream = make()
    async with anyio.create_task_group() as tasks:

        async def put() -> None:
            await anyio.sleep(0.01)
            stream.put(0, Text("a"))

        tasks.start_soon(put)
        with anyio.fail_after(5):
            assert await stream.take(60) == [(0, Text("a"))]
    stream.close()


async def test_a_reader_that_falls_behind_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_EVENTS", 3)
    stream = make()
    for _ in range(5):
        stream.put(0, Text("a"))
    assert [await anext(stream) for _ in range(3)] == [(0, Text("a"))] * 3
    with pytest.raises(WorkerFailed, match="fast enough"):
        await anext(stream)


async def test_audio_that_is_not_read_is_given_up_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 10)
    stream = make()
    stream.put(0, Audio(b"12345678"))
    assert await anext(stream) == (0, Audio(b"12345678"))
    stream.put(0, Audio(b"12345678"))
    stream.put(0, Audio(b"12345678"))
    assert await anext(stream) == (0, Audio(b"12345678"))
    with pytest.raises(WorkerFailed, match="fast enough"):
        await anext(stream)


async def test_what_knows_a_closed_stream_is_gone_with_it() -> None:
    class Call:
        def __init__(self) -> None:
            self.stream = make()
            self.stream.before_end = self.end

        async def end(self) -> None:
            pass

    gc.disable()
    try:
        call = Call()
        call.stream.close()
        left = weakref.ref(call)
        del call
        assert left() is None
    finally:
        gc.enable()
