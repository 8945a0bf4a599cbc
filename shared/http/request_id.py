"""A name for every request, so that a client's report finds its log lines."""

import random
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.logs import REQUEST_ID

_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

_ID_BITS = 96

HEADER = b"x-request-id"


class RequestIdMiddleware:
    """Take the id from ``X-Request-ID`` or make one; echo it and bind it to this request's log lines.

    An id that could not be written into a log line or a header as it stands is replaced.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        request_id = given.decode() if _ACCEPTABLE.fullmatch(given) else _new_id()
        raw_id = request_id.encode()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [header for header in message.get("headers", ()) if header[0] != HEADER]
                message["headers"] = [*others, (HEADER, raw_id)]
            await send(message)

        token = REQUEST_ID.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            REQUEST_ID.reset(token)


def _new_id() -> str:
    # A name and no secret, so it need not cost a system call.
    return f"req_{random.getrandbits(_ID_BITS):024x}"
