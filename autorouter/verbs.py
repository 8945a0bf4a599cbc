"""The verbs that a discovery service answers."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from autorouter.cors import PREFLIGHT
from shared.errors import Forbidden, error_response

ALLOW = {"Allow": "GET, HEAD, OPTIONS"}


class VerbMiddleware:
    """Let GET and HEAD through, answer OPTIONS, and refuse every other verb on every path with 403."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            response = Response(status_code=204, headers=ALLOW | PREFLIGHT)
        else:
            response = error_response(_refusal(scope["method"]))
        await response(scope, receive, send)


def _refusal(method: str) -> Forbidden:
    return Forbidden(
        f"{method} is not allowed here: this is a discovery service that answers GET and HEAD. Ask it with "
        "GET /v1/route and send inference calls to the endpoint that it names",
        headers=ALLOW,
    )
