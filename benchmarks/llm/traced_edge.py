"""Runs the ``nearedge`` command with a note taken of how long each token takes from engine to socket.

``python -m benchmarks.llm.traced_edge edge …`` is the real edge. Every event of a worker carries when its
last token was drawn; whatever a request's events bring is taken off as the gateway gives the bytes that
they became to the socket. ``GET /benchmark/delays`` returns those times in milliseconds and forgets them.
"""

import time
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

import edge.app
from edge.workers.messages import Event, Text, ToolCall
from edge.workers.stream import EventStream
from nearedge.cli import main
from shared.http.json import JsonResponse

PATH = "/benchmark/delays"

_unsent: ContextVar[list[float]] = ContextVar("unsent")
"""When the tokens were made that the request in this context has read and not sent yet."""


class Tracing:
    """ASGI middleware outside of everything else: what it passes on goes to the server's socket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._delays_ms: list[float] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == PATH:
            answer = JsonResponse(self._delays_ms)
            self._delays_ms = []
            await answer(scope, receive, send)
            return
        unsent: list[float] = []
        _unsent.set(unsent)

        async def traced(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and message.get("body") and unsent:
                now = time.perf_counter()
                self._delays_ms += [(now - made_at) * 1000 for made_at in unsent]
                unsent.clear()

        await self._app(scope, receive, traced)


def note(event: Event) -> None:
    """Remember when *event* was made until the request in this context sends something."""
    unsent = _unsent.get(None)
    if unsent is not None and isinstance(event, Text | ToolCall) and event.made_at:
        unsent.append(event.made_at)


def install() -> None:
    """Have every edge that this process builds traced."""
    untraced_next, untraced_take = EventStream.__anext__, EventStream.take
    untraced_app = edge.app.build_app

    async def traced_next(stream: EventStream) -> tuple[int, Event]:
        index, event = await untraced_next(stream)
        note(event)
        return index, event

    async def traced_take(stream: EventStream, patience: float) -> list[tuple[int, Event]]:
        events = await untraced_take(stream, patience)
        for _, event in events:
            note(event)
        return events

    def traced_app(*arguments: Any, **named: Any) -> ASGIApp:
        return Tracing(untraced_app(*arguments, **named))

    EventStream.__anext__ = traced_next  # type: ignore[method-assign, assignment]
    EventStream.take = traced_take  # type: ignore[method-assign, assignment]
    edge.app.build_app = traced_app


if __name__ == "__main__":
    install()
    main()
