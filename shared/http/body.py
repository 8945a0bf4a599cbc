"""Bounds on request bodies: how large one may be and how long it may take to arrive."""

import time
from collections.abc import Mapping

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import ApiError, BadRequest, PayloadTooLarge, RequestTimeout, error_response

DISCARD_BYTES = 64 * 1024 * 1024
"""How much of an unwanted body is read and thrown away, so that the client gets to read the answer: a
server that closes while its client still writes makes the client see a reset instead."""


class BodyLimitMiddleware:
    """Refuse a body above its limit with 413 and one that does not arrive in time with 408.

    ``limits`` maps path prefixes to bytes; the longest that matches counts, ``""`` matches every path.
    A body without Content-Length is counted as it comes, so that no body is held beyond its limit.

    An answer that comes before the body has been read is sent at once; its end follows when the rest of
    the body has been thrown away.
    """

    def __init__(self, app: ASGIApp, *, limits: Mapping[str, int], read_seconds: float) -> None:
        self.app = app
        self.limits = sorted(limits.items(), key=lambda item: -len(item[0]))
        self.read_seconds = read_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _has_no_body(scope):
            await self.app(scope, receive, send)
            return
        limit = next(limit for prefix, limit in self.limits if scope["path"].startswith(prefix))
        body = _BoundedBody(receive, limit, self.read_seconds)

        async def send_and_discard(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and not body.complete:
                await send({**message, "more_body": True})
                await body.discard()
                message = {"type": "http.response.body"}
            if not last or body.complete:
                await send(message)
            else:
                await _send_past(receive, send, message)

        try:
            body.expect(Headers(scope=scope).get("content-length"))
        except ApiError as error:
            await error_response(error)(scope, receive, send_and_discard)
            return
        await self.app(scope, body.receive, send_and_discard)


def _has_no_body(scope: Scope) -> bool:
    """Whether the head rules a body out: most requests to read, at no cost for them.

    In HTTP/1.1 a request with a body has one of two headers (RFC 9112, 6.3); in HTTP/2 it needs neither.
    """
    return (
        scope["method"] in ("GET", "HEAD")
        and scope.get("http_version") in ("1.0", "1.1")
        and not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
    )


async def _send_past(receive: Receive, send: Send, message: Message) -> None:
    """Send *message* while the client keeps sending a body that is too long to be thrown away.

    Hypercorn ends a response by telling ``receive`` of it, through a queue that such a client keeps full.
    """
    async with anyio.create_task_group() as tasks:

        async def empty() -> None:
            while (await receive())["type"] == "http.request":
                pass

        tasks.start_soon(empty)
        await send(message)
        tasks.cancel_scope.cancel()


class _BoundedBody:
    def __init__(self, receive: Receive, limit_bytes: int, read_seconds: float) -> None:
        self.complete = False
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._read_seconds = read_seconds
        self._deadline: float | None = None
        self._read_bytes = 0
        self._gone = False

    def expect(self, content_length: str | None) -> None:
        if content_length is None:
            return
        if not content_length.isascii() or not content_length.isdecimal():
            raise BadRequest("Content-Length must be a whole number of bytes")
        digits = content_length.lstrip("0") or "0"
        if len(digits) > len(str(self._limit_bytes)) or int(digits) > self._limit_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        if self._gone:
            return {"type": "http.disconnect"}
        message = await self._receive() if self.complete else await self._next()
        self._gone = message["type"] == "http.disconnect"
        if self._read_bytes > self._limit_bytes:
            raise self._too_large()
        return message

    async def discard(self) -> None:
        """Read the rest of the body and keep none of it, within the same bounds."""
        try:
            while not self.complete and self._read_bytes < DISCARD_BYTES:
                await self._next()
        except RequestTimeout:
            pass

    async def _next(self) -> Message:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._read_seconds
        try:
            with anyio.fail_after(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"The request body did not arrive within {self._read_seconds:g} seconds"
            ) from None
        if message["type"] == "http.request":
            self._read_bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        else:
            self.complete = True
        return message

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The request body is larger than the limit of {self._limit_bytes} bytes")
