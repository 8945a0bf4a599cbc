"""Asks for one streamed answer and notes when each piece of its text arrived.

A client of its own, because the load is made on the cores that the servers need: it does nothing per
event but take the time and keep the bytes; what they mean is read when the answer is complete.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from benchmarks.llm.sse import BadAnswer, EventReader

HOST = "127.0.0.1"
ANSWER_SECONDS = 600.0
"""What one answer may take, the wait for those before it included."""

DONE = b"[DONE]"


class AnswerFailed(Exception):
    """A server did not answer as it should; the message says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One streamed answer. Times are ``time.perf_counter()``'s, in seconds.

    ``arrivals`` has one for every event that carried text. The counts are None where the server tells none.
    """

    asked: float
    arrivals: tuple[float, ...]
    text: str
    finish_reason: str | None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None

    @property
    def first_seconds(self) -> float:
        """How long the first text took."""
        return self.arrivals[0] - self.asked

    @property
    def longest_gap_seconds(self) -> float:
        """The longest wait for text once it had begun; 0 if all came at once."""
        return max((b - a for a, b in zip(self.arrivals, self.arrivals[1:], strict=False)), default=0.0)

    def require(self, tokens: int) -> "Answer":
        """Return the answer if it has exactly *tokens* tokens.

        Raises:
            AnswerFailed: it has another number, ended for another reason than its length, or has no text.
        """
        if self.finish_reason != "length" or self.completion_tokens not in (None, tokens):
            raise AnswerFailed(
                f"{tokens} tokens were asked for and {self.completion_tokens} came; "
                f"the finish reason is {self.finish_reason!r}"
            )
        if not self.arrivals:
            raise AnswerFailed("no text came")
        return self


async def ask(port: int, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Send *body* and return the answer once its ``[DONE]`` is there.

    Raises:
        AnswerFailed: the server refused, sent an error event, broke off, or took ANSWER_SECONDS.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    asked = time.perf_counter()
    transport, protocol = await loop.create_connection(
        lambda: _Listener(_request(path, body, headers), ended), HOST, port
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await ended
    except TimeoutError:
        raise AnswerFailed(f"no complete answer within {ANSWER_SECONDS:g} s") from None
    finally:
        transport.close()
    return read(asked, protocol.events)


def _request(path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    data = orjson.dumps(body)
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {HOST}",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class _Listener(asyncio.Protocol):
    def __init__(self, request: bytes, ended: "asyncio.Future[None]") -> None:
        self.events: list[tuple[float, bytes]] = []
        self._request = request
        self._ended = ended
        self._reader = EventReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        try:
            events = self._reader.feed(data)
        except BadAnswer as error:
            self._end(AnswerFailed(str(error)))
            return
        self.events += [(now, event) for event in events]
        if events and events[-1] == DONE:
            self._end()
        elif self._reader.complete:
            self._broken()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._broken()

    def _broken(self) -> None:
        said = bytes(self._reader.body[:500]).decode("utf-8", "replace")
        self._end(AnswerFailed(f"status {self._reader.status}, no [DONE]: {said}"))

    def _end(self, error: AnswerFailed | None = None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


def read(asked: float, events: list[tuple[float, bytes]]) -> Answer:
    """Return what *events*, chat's or completions', say together.

    Raises:
        AnswerFailed: one of them is an error, or no JSON.
    """
    arrivals: list[float] = []
    pieces: list[str] = []
    finish_reason: str | None = None
    usage: dict[str, Any] = {}
    for at, data in events:
        if data == DONE:
            continue
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise AnswerFailed(f"an event holds {data[:200]!r}") from None
        if "error" in chunk:
            raise AnswerFailed(f"the stream ended with {chunk['error']}")
        for choice in chunk.get("choices") or ():
            text = choice.get("text") or choice.get("delta", {}).get("content")
            if text:
                arrivals.append(at)
                pieces.append(text)
            finish_reason = choice.get("finish_reason") or finish_reason
        usage = chunk.get("usage") or usage
    return Answer(
        asked,
        tuple(arrivals),
        "".join(pieces),
        finish_reason,
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
    )
