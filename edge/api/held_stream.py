"""Responses that are sent while a worker still makes them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing

import anyio
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge.api.leaving import unless_gone, wait_until_gone
from edge.workers.stream import EventStream
from shared.errors import ApiError

log = structlog.get_logger(__name__)

Chunks = AsyncGenerator[bytes, None]


class HeldStream(Response):
    """Sends *chunks* as they come and closes *held*, which frees the worker, at the end or when the client
    leaves.

    A failure among the chunks leaves the response unfinished: the connection is cut, so that no client
    takes half for the whole.
    """

    def __init__(
        self, chunks: Chunks, held: AsyncExitStack, *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._chunks = chunks
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held, aclosing(self._chunks), anyio.create_task_group() as tasks:

            async def watch() -> None:
                await wait_until_gone(receive)
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            try:
                await self._send(send)
            except ApiError as error:
                log.warning("stream cut", path=scope["path"], error=error.detail)
            tasks.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def hold_stream(
    request: Request,
    opened: AbstractAsyncContextManager[EventStream],
    begin: Callable[[EventStream], Awaitable[Chunks]],
    *,
    media_type: str,
    headers: Mapping[str, str],
) -> HeldStream:
    """Enter *opened* and return the response that sends what *begin* makes of its events.

    What *begin* raises before it returns still becomes an error with a status of its own.

    Raises:
        ClientGone: the client left meanwhile.
        ApiError: the worker refused the request, or *begin* did.
    """
    held = AsyncExitStack()
    try:
        stream = await held.enter_async_context(opened)
        chunks = await unless_gone(request.receive, begin(stream))
    except BaseException:
        await held.aclose()
        raise
    return HeldStream(chunks, held, media_type=media_type, headers=headers)
