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
