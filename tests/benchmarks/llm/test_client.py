import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from benchmarks.llm import client
from benchmarks.llm.client import DONE, Answer, AnswerFailed, ask, read

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def chunk(text: str, finish_reason: str | None = None) -> bytes:
    return orjson.dumps({"choices": [{"index": 0, "text": text, "finish_reason": finish_reason}]})


USAGE = orjson.dumps(
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    }
)


def test_arrivals_are_those_of_events_with_text() -> None:
    events = [
        (1.0, chunk("")),
        (2.0, chunk("a")),
        (5.0, chunk("b")),
        (6.0, chunk("", "length")),
        (6.0, USAGE),
    ]
    answer = read(0.5, [*events, (6.0, DONE)])
    assert answer == Answer(0.5, (2.0, 5.0), "ab", "length", 5, 2, 3)
    assert answer.first_seconds == 1.5
    assert answer.longest_gap_seconds == 3.0


def test_the_text_of_a_chat_is_in_its_deltas() -> None:
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": None}, {"content": "hi"}, {}]
    events = [(float(n), orjson.dumps({"choices": [{"delta": delta}]})) for n, delta in enumerate(deltas)]
    answer = read(0.0, events)
    assert (answer.text, answer.arrivals, answer.completion_tokens) == ("hi", (1.0,), None)


@pytest.mark.parametrize("event", [b'{"error": {"message": "the worker died"}}', b"{"])
def test_an_event_that_tells_of_an_error_fails(event: bytes) -> None:
    with pytest.raises(AnswerFailed):
        read(0.0, [(1.0, chunk("a")), (2.0, event)])


def test_an_answer_of_the_right_length_passes() -> None:
    told = Answer(0.0, (1.0,), "a", "length", 5, 2)
    untold = Answer(0.0, (1.0,), "a", "length")
    assert told.require(2) is told
    assert untold.require(2) is untold


@pytest.mark.parametrize(
    "answer",
    [
        Answer(0.0, (1.0,), "a", "length", 5, 3),
        Answer(0.0, (1.0,), "a", "stop", 5, 2),
        Answer(0.0, (1.0,), "a", None),
        Answer(0.0, (), "", "length", 5, 2),
    ],
)
def test_an_answer_of_another_length_fails(answer: Answer) -> None:
    with pytest.raises(AnswerFailed):
        answer.require(2)


@asynccontextmanager
async def serving(answer: bytes, *, stays_open: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    asked: list[bytes] = []
    leave = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        asked.append(head + await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        if stays_open:
            await leave.wait()
        writer.close()

    server = await asyncio.start_server(handle, client.HOST, 0)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1], asked
        finally:
            leave.set()


@pytest.mark.anyio
async def test_a_request_is_sent_and_its_answer_read() -> None:
    body = b"data: " + chunk("a", "length") + b"\n\ndata: [DONE]\n\n"
    async with serving(HEAD + body, stays_open=True) as (port, asked):
        answer = await ask(port, "/v1/completions", {"prompt": "x"}, {"Authorization": "Bearer k"})
    assert (answer.text, answer.finish_reason) == ("a", "length")
    assert asked[0].startswith(b"POST /v1/completions HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer k\r\n" in asked[0]
    assert asked[0].endswith(b'\r\n\r\n{"prompt":"x"}')


@pytest.mark.anyio
async def test_an_answer_that_breaks_off_fails() -> None:
    async with serving(HEAD + b"data: " + chunk("a") + b"\n\n") as (port, _):
        with pytest.raises(AnswerFailed, match=r"no \[DONE\]"):
            await ask(port, "/", {}, {})


@pytest.mark.anyio
async def test_a_refusal_is_told() -> None:
    refusal = (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\nbad input"
    )
    async with serving(refusal, stays_open=True) as (port, _):
        with pytest.raises(AnswerFailed, match=r"status 400.*bad input"):
            await ask(port, "/", {}, {})


@pytest.mark.anyio
async def test_an_answer_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.1)
    async with serving(HEAD, stays_open=True) as (port, _):
        with pytest.raises(AnswerFailed, match=r"within 0\.1 s"):
            await ask(port, "/", {}, {})
