from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive
from structlog.testing import capture_logs

from edge.api.held_stream import Chunks, HeldStream, hold_stream
from edge.errors import ClientGone, SynthesisFailed, WorkerFailed
from edge.workers.stream import EventStream

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "method": "POST", "path": "/v1/audio/speech"}


async def never_leaves() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


async def leaves_soon() -> Message:
    await anyio.sleep(0.01)
    return {"type": "http.disconnect"}


class Held:
    """Something to hold, which knows whether it is."""

    def __init__(self) -> None:
        self.open = False

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[EventStream]:
        self.open = True
        try:
            yield EventStream(1, lambda: None)
        finally:
            self.open = False


async def respond(chunks: Chunks, held: Held, receive: Receive = never_leaves) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    stack = AsyncExitStack()
    await stack.enter_async_context(held.enter())
    response = HeldStream(chunks, stack, media_type="audio/pcm", headers={"X-A": "b"})
    with anyio.fail_after(5):
        await response(SCOPE, receive, send)
    assert not held.open
    return sent


def bodies(sent: list[Message]) -> list[tuple[bytes, bool]]:
    return [(message["body"], message["more_body"]) for message in sent[1:]]


async def test_chunks_are_sent_as_they_come() -> None:
    held = Held()

    async def chunks() -> Chunks:
        for chunk in (b"a", b"b"):
            assert held.open
            yield chunk

    sent = await respond(chunks(), held)
    assert bodies(sent) == [(b"a", True), (b"b", True), (b"", False)]
    headers = dict(sent[0]["headers"])
    assert (headers[b"content-type"], headers[b"x-a"]) == (b"audio/pcm", b"b")
    assert b"content-length" not in headers


async def test_a_failure_leaves_the_response_unfinished_and_one_line_in_the_log() -> None:
    async def chunks() -> Chunks:
        yield b"half"
        raise WorkerFailed("it broke")

    with capture_logs() as logs:
        sent = await respond(chunks(), Held())
    assert bodies(sent) == [(b"half", True)]
    assert [(line["log_level"], line["error"], line["path"]) for line in logs] == [
        ("warning", "it broke", "/v1/audio/speech")
    ]


async def test_a_client_that_leaves_ends_the_chunks() -> None:
    ended = False

    async def chunks() -> Chunks:
        nonlocal ended
        try:
            yield b"half"
            await anyio.sleep_forever()
        finally:
            ended = True

    sent = await respond(chunks(), Held(), leaves_soon)
    assert bodies(sent) == [(b"half", True)]
    assert ended


async def test_a_client_that_reads_nothing_ends_the_chunks_by_leaving() -> None:
    ended = False

    async def chunks() -> Chunks:
        nonlocal ended
        try:
            yield b"half"
        finally:
            ended = True

    async def never_sends(message: Message) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    response = HeldStream(chunks(), AsyncExitStack(), media_type="audio/pcm", headers={})
    with anyio.fail_after(5):
        await response(SCOPE, leaves_soon, never_sends)
    assert ended


async def test_what_fails_before_the_first_chunk_is_raised() -> None:
    held = Held()

    async def fail(_stream: EventStream) -> Chunks:
        assert held.open
        raise SynthesisFailed("no sound")

    with pytest.raises(SynthesisFailed):
        await hold_stream(
            Request(SCOPE, never_leaves), held.enter(), fail, media_type="audio/pcm", headers={}
        )
    assert not held.open


async def test_a_client_that_leaves_before_the_first_chunk_stops_the_work() -> None:
    held = Held()

    async def wait(_stream: EventStream) -> Chunks:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(ClientGone):
        await hold_stream(Request(SCOPE, leaves_soon), held.enter(), wait, media_type="audio/pcm", headers={})
    assert not held.open
