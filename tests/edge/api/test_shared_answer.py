from collections.abc import MutableMapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from edge.api import shared_answer as module
from edge.api.shared_answer import SharedAnswer

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
    answer = SharedAnswer()
    callers = [Caller() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer.play, callers[0])
        await anyio.sleep(0.01)
        await answer.send(START)
        await answer.send(piece(b"abcdef"))
        tasks.start_soon(answer.play, callers[1])
        await anyio.sleep(0.01)
        assert callers[0].body == callers[1].body == b"abcdef", "as it comes"
        await answer.send(piece(b"ghi", more=False))
        await anyio.sleep(0.01)
        assert not callers[0].finished, "the end is held back"
        answer.end()
    await answer.play(callers[2])
    for caller in callers:
        assert caller.messages[0] == START
        assert caller.body == b"abcdefghi"
        assert caller.finished
    assert answer.body() == b"abcdefghi"
    answer.close()


async def test_an_answer_that_broke_off_is_given_unfinished() -> None:
    answer, caller = SharedAnswer(), Caller()
    await answer.send(START)
    await answer.send(piece(b"abc"))
    answer.end()
    assert await answer.play(caller)
    assert caller.body == b"abc"
    assert not caller.finished
    assert not answer.whole
    answer.close()


async def test_an_empty_answer_ends() -> None:
    answer, caller = SharedAnswer(), Caller()
    await answer.send(START)
    await answer.send(piece(b"", more=False))
    answer.end()
    assert await answer.play(caller)
    assert caller.finished
    answer.close()


async def test_where_there_was_no_answer_nothing_is_sent() -> None:
    answer, caller = SharedAnswer(), Caller()
    answer.end()
    assert not await answer.play(caller)
    assert caller.messages == []
    answer.close()
