"""An edge whose model is the stub: ``python -m benchmarks.gateway.edge PORT HOME whole|bare``.

``bare`` is the same app without keys, limits and metering.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from edge.accounts import Billing, Key, Limits, Tenant
from edge.accounts import Scope as KeyScope
from edge.accounts.metering import Metering, Work
from edge.api import operation
from edge.app import build_app
from edge.models import load_catalogue, served
from edge.models.served import ServedModels
from edge.settings import EdgeSettings
from edge.workers.stream import EventStream
from nearedge.console import load_settings
from shared import logs, server
from shared.http.drain import Drain

MODEL = "smollm2-135m-instruct"
WHOLE, BARE = "whole", "bare"
NOBODY = Key(
    "key_none",
    Tenant("default", "Default", Billing.UNMETERED, Limits(), ""),
    "none",
    frozenset(KeyScope),
    "",
)


class Unguarded:
    """Lets everybody through."""

    def __init__(self, app: ASGIApp, *_: object) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["key"] = NOBODY
        await self._app(scope, receive, send)


@asynccontextmanager
async def unmetered(_metering: Metering, work: Work) -> AsyncIterator[EventStream]:
    async with work.served.worker.request(*work.orders) as stream:
        yield stream


def app_of(settings: EdgeSettings, drain: Drain, kind: str) -> ASGIApp:
    """Return the app; the modules that it is built of are changed for good."""
    served.ENGINES = dict.fromkeys(served.ENGINES, "benchmarks.gateway.stub_engine")
    if kind == BARE:
        vars(operation)["Guard"] = Unguarded
        Metering.call = unmetered  # type: ignore[method-assign, assignment]
    return build_app(settings, ServedModels(load_catalogue(), settings), drain)


def main() -> None:
    port, home, kind = sys.argv[1:]
    settings = load_settings(home=Path(home), edge_port=int(port), edge_models=(MODEL,))
    logs.configure("warning", "console")
    drain = Drain()
    listener = server.bind(settings.edge_host, settings.edge_port)
    server.run(app_of(settings, drain, kind), listener, drain=drain, settings=settings)


if __name__ == "__main__":
    main()
