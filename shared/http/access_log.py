"""One log line per request, without anything secret."""

import logging
import re
import time
from urllib.parse import quote

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import edge_status
from shared.errors import unexpected_response
from shared.logs import write_line

log = structlog.get_logger("access")
lines = logging.getLogger("access")

POLLED = frozenset({edge_status.PATH})
"""What autorouters ask every second: only an answer that is no success is worth a line."""

SAFE = "/!$&'()*+,:;=@"
"""What stands in a path as it is, besides letters, digits and ``-._~`` (RFC 3986, 3.3)."""


PLAIN = re.compile(r"[A-Za-z0-9/._~-]*")
"""Paths that quoting leaves as they are."""


class AccessLogMiddleware:
    """Log method, path, status, size and time of every request.

    Headers, the query and bodies stay out of the log: any of them may hold a key or a person's words. The
    path is quoted: nothing in it can move a terminal's cursor.

    An exception that nothing else has handled is logged here with its traceback, answered with a 500 if
    nothing else has been, and goes no further.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        path = scope["path"] if PLAIN.fullmatch(scope["path"]) else quote(scope["path"], safe=SAFE)
        status = 0
        sent_bytes = 0

        async def send_and_count(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, send_and_count)
        except Exception:
            log.exception("unhandled", method=scope["method"], path=path)
            if status == 0:
                await unexpected_response()(scope, receive, send_and_count)
        finally:
            client = scope.get("client")
            write_line(
                lines,
                logging.DEBUG if path in POLLED and status == 200 else logging.INFO,
                "request",
                method=scope["method"],
                path=path,
                status=status,
                sent_bytes=sent_bytes,
                ms=round((time.perf_counter() - started) * 1000, 1),
                client=client[0] if client else None,
            )
