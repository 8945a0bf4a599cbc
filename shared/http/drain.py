"""Leaving without cutting anybody off.

A server that is told to stop goes through three states: *serving*; *draining*, where its health check
already fails so that balancers look elsewhere while requests are still taken; and *closing*, where new
requests get 503 and those under way finish.
"""

import anyio
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import Unavailable, error_response


class Drain:
    """How far a service has come in stopping, and how many requests it still answers."""

    def __init__(self) -> None:
        self.draining = False
        self.closing = False
        self.in_flight = 0
        self._idle = anyio.Event()

    async def run(self, delay_seconds: float, deadline_seconds: float) -> bool:
        """Drain for *delay_seconds*, close, wait for the last request; False if the deadline came first."""
        self.draining = True
        await anyio.sleep(delay_seconds)
        self.closing = True
        if self.in_flight:
            with anyio.move_on_after(deadline_seconds):
                await self._idle.wait()
        return self.in_flight == 0

    def enter(self) -> None:
        self.in_flight += 1

    def leave(self) -> None:
        self.in_flight -= 1
        if self.closing and self.in_flight == 0:
            self._idle.set()


class DrainMiddleware:
    """Count the requests under way and refuse new ones once the service is closing.

    Answers of a service that is about to stop close their HTTP/1.1 connection, so that the client's next
    request opens one elsewhere. HTTP/2 has no such header: its connections end with the server.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self.drain.draining:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        answer = send if scope.get("http_version") == "2" else send_and_close
        if self.drain.closing:
            refusal = Unavailable("This server is shutting down; ask another edge", code="shutting_down")
            await error_response(refusal)(scope, receive, answer)
            return
        self.drain.enter()
        try:
            await self.app(scope, receive, answer)
        finally:
            self.drain.leave()
