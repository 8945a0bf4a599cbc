"""Speaks ASGI to an app, message by message."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message


@dataclass
class Exchange:
    """One request and what came back. ``taken`` are the request's messages that the app has received."""

    taken: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    taken_before_answer: int | None = None

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> Headers:
        return Headers(raw=self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def ended(self) -> bool:
        return not self.sent[-1].get("more_body", False)

    def json(self) -> Any:
        return orjson.loads(self.body)


def scope_of(
    method: str = "GET",
    path: str = "/",
    *,
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    http_version: str = "1.1",
) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": http_version,
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"test"), *headers],
        "client": ("192.0.2.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


def chunks(*parts: bytes, complete: bool = True) -> list[Message]:
    """Return the messages of a body that comes in *parts*."""
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts or [b""]
    ]
    if complete:
        messages[-1]["more_body"] = False
    return messages


async def exchange(
    app: ASGIApp, scope: dict[str, Any], messages: Iterable[Message] | AsyncIterator[Message] | None = None
) -> Exchange:
    """Send a request to *app*. After its last message the client is silent for ever."""
    done = Exchange()

    async def from_iterable() -> AsyncIterator[Message]:
        assert not isinstance(messages, AsyncIterator)
        for message in chunks() if messages is None else messages:
            yield message

    source = messages if isinstance(messages, AsyncIterator) else from_iterable()

    async def receive() -> Message:
        try:
            message = await anext(source)
        except StopAsyncIteration:
            await anyio.sleep_forever()
        done.taken.append(message)
        return message

    async def send(message: Message) -> None:
        if done.taken_before_answer is None:
            done.taken_before_answer = len(done.taken)
        done.sent.append(message)

    with anyio.fail_after(10):
        await app(scope, receive, send)
    return done
