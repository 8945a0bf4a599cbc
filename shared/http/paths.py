"""One spelling for every path."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_ORIGIN = re.compile(r"\Ahttps?://[^/]*", re.IGNORECASE)
_REPEATED = re.compile(r"/{2,}")


class NormalisePathMiddleware:
    """Fold repeated slashes and drop a trailing one, in place: clients that build URLs from a base with a
    trailing slash send ``//v1/…``, and not all of them follow a redirect. The origin goes too, which a client
    behind a proxy sends and every server must accept (RFC 9112, 3.2.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if "//" in path:
                path = _REPEATED.sub("/", _ORIGIN.sub("", path))
            scope["path"] = path.rstrip("/") or "/"
        await self.app(scope, receive, send)
