from collections.abc import MutableMapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from edge.api import recording as module
from edge.api.recording import Recording

pytestmark = pytest.mark.anyio

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class Caller:
    def __init__(self) -> None:
        self.messages: list[MutableMapping[str, Any]] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        await anyio.lowlevel.checkpoint()

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def finished(self) -> bool:
        return self.messages[-1].get("more_body") is False


@pytest.mark.parametrize("memory", [1_000_000, 4])
async def test_callers_get_the_same_however_early_they_come(
    monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES", memory)
    recording = Recording()
    callers = [Caller() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recording.play, callers[0])
        await anyio.sleep(0.01)
        await recording.send(START)
        await recording.send(piece(b"abcdef"))
        tasks.start_soon(recording.play, callers[1])
        await anyio.sleep(0.01)
        assert callers[0].body == callers[1].body == b"abcdef", "as it comes"
        await recording.send(piece(b"ghi", more=False))
        await anyio.sleep(0.01)
        assert not callers[0].finished, "the end is held back"
        recording.end()
    await recording.play(callers[2])
    for caller in callers:
        assert caller.messages[0] == START
        assert caller.body == b"abcdefghi"
        assert caller.finished
    assert recording.body() == b"abcdefghi"
    recording.close()


async def test_an_answer_that_broke_off_is_given_unfinished() -> None:
    recording, caller = Recording(), Caller()
    await recording.send(START)
    await recording.send(piece(b"abc"))
    recording.end()
    assert await recording.play(caller)
    assert caller.body == b"abc"
    assert not caller.finished
    assert not recording.whole
    recording.close()


async def test_an_empty_answer_ends() -> None:
    recording, caller = Recording(), Caller()
    await recording.send(START)
    await recording.send(piece(b"", more=False))
    recording.end()
    assert await recording.play(caller)
    assert caller.finished
    recording.close()


async def test_where_there_was_no_answer_nothing_is_sent() -> None:
    recording, caller = Recording(), Caller()
    recording.end()
    assert not await recording.play(caller)
    assert caller.messages == []
    recording.close()
