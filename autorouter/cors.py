"""Leave for pages of every origin to ask."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALLOWED = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"ETag, Retry-After, X-Request-ID"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Max-Age": "86400",
}
"""What OPTIONS adds. ``*`` does not take in Authorization, which has to be named (Fetch, 3.3.5)."""


class CorsMiddleware:
    """Let a page of any origin read any answer, errors and 304 too.

    Nothing here depends on cookies, so the answer is the same for every origin and whether or not the
    request names one, and caches need not tell them apart. Starlette's middleware writes ``Vary: Origin``
    even then, which would split every entry of a CDN by the page that asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_leave(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *ALLOWED]
            await send(message)

        await self.app(scope, receive, send_with_leave)
