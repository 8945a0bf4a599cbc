"""Calls to models on behalf of who sent a request."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from starlette.requests import Request

from edge.accounts.idempotency import Claimed
from edge.accounts.limiter import Admission
from edge.accounts.metering import Metering, Work
from edge.models.served import ServedModel
from edge.workers import messages
from edge.workers.stream import EventStream

ID_DIGITS = 24
"""Of an event, after its prefix; enough that no two are the same."""


class RepeatableEvents:
    """Names the events of a request that may be done again after a crash: as they were named before it.

    One that *outlives* its clients breaks off only where this edge ends, and whoever does it then is paid.
    """

    def __init__(self, claimed: Claimed, *, outlives: bool) -> None:
        self._claimed = claimed
        self._outlives = outlives
        self._calls = 0

    @property
    def base(self) -> str:
        """What all that the request makes is named after."""
        return self._claimed.name[:ID_DIGITS]

    def name(self, work: Work) -> Work:
        """Return *work*, the next call of the request, with the id of its event."""
        self._calls += 1
        event_id = f"use_{self.base}"
        if self._calls > 1:
            event_id += f"_{self._calls}"
        return replace(work, event_id=event_id, again=self._claimed.again, resumes=self._outlives)


def metered(
    request: Request, served: ServedModel, *orders: messages.Request, per_prompt: int = 1
) -> AbstractAsyncContextManager[EventStream]:
    """Return what sends *orders* to the worker of *served* and yields their events, on the caller's account.

    Every *per_prompt* orders in a row share their prompt. See ``Metering.call``.
    """
    metering: Metering = request.app.state.books.metering
    work = _work(request, served, orders, per_prompt)
    events = events_of(request)
    return metering.call(events.name(work) if events is not None else work)


def events_of(request: Request) -> RepeatableEvents | None:
    """Return what names the events of *request*, None if it may not be done again."""
    found: RepeatableEvents | None = getattr(request.state, "events", None)
    return found


async def check(request: Request, served: ServedModel, *orders: messages.Request) -> None:
    """See that *orders*, which are to be sent later, can be paid for. See ``Metering.check``."""
    metering: Metering = request.app.state.books.metering
    await metering.check(_work(request, served, orders))


def _work(
    request: Request, served: ServedModel, orders: Sequence[messages.Request], per_prompt: int = 1
) -> Work:
    admission: Admission | None = getattr(request.state, "admission", None)
    return Work(
        key=request.state.key,
        served=served,
        orders=orders,
        service=service(request.scope["path"]),
        region=request.app.state.settings.edge_region,
        per_prompt=per_prompt,
        request_id=request.state.request_id,
        tell_tokens=admission.note_tokens if admission is not None else None,
    )


def service(path: str) -> str:
    """Return what usage calls the endpoint *path*: ``/v1/chat/completions`` is ``chat/completions``."""
    return path.strip("/").removeprefix("v1/").removesuffix("/stream")
