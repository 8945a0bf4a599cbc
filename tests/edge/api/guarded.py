"""A small app behind the guard, served in this process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response

from edge.accounts import Billing, Key, Limits, Scope, Tenant
from edge.accounts.idempotency import Idempotency
from edge.accounts.limiter import Limiter
from edge.accounts.metering import Work
from edge.api.guard import Guard, Rules
from edge.api.repeats import Repeats
from edge.errors import InvalidKey
from edge.models.served import ServedModel
from edge.settings import EdgeSettings
from edge.store import open_stores
from shared.errors import EXCEPTION_HANDLERS
from shared.http.drain import Drain

PATH = "/v1/work"
NO_LIMITS = Limits()


def key_of(limits: Limits = NO_LIMITS, *, tenant_limits: Limits = NO_LIMITS, name: str = "k") -> Key:
    tenant = Tenant("t", "t", Billing.UNMETERED, tenant_limits, "2026-01-01T00:00:00Z")
    return Key(name, tenant, name, frozenset({Scope.INFERENCE}), "2026-01-01T00:00:00Z", limits=limits)


WORK = Work(key_of(), cast("ServedModel", SimpleNamespace()), (), "embeddings", "yto-01")
"""A call to a model, which is not made."""


@asynccontextmanager
async def guarded(
    home: Path,
    handler: Callable[[Request], Awaitable[Response]],
    *,
    keys: dict[str, Key] | None = None,
    rules: Rules | None = None,
    limiter: Limiter | None = None,
    **settings: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve *handler* to those who send one of *keys*; the client sends the first."""
    keys = keys or {"pg_k": key_of()}

    async def authorise(request: Request) -> Key:
        found = keys.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if found is None:
            raise InvalidKey
        return found

    guard = Guard(request_response(handler), authorise, rules or Rules(limited=True))
    app = Starlette(routes=[Route(PATH, guard, methods=["POST"])], exception_handlers=EXCEPTION_HANDLERS)
    async with open_stores(home, None) as stores:
        idempotency = Idempotency(stores, answer_limit_bytes=1000, total_limit_bytes=10_000, wait_seconds=1)
        app.state.settings = EdgeSettings(**settings)
        app.state.limiter = limiter or Limiter()
        app.state.idempotency = idempotency
        app.state.repeats = Repeats(idempotency, Drain())
        async with app.state.repeats.running():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            headers = {"Authorization": f"Bearer {next(iter(keys))}"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://edge", headers=headers
            ) as client:
                yield client


def idempotency_of(client: httpx.AsyncClient) -> Idempotency:
    """Return the service behind the app that *client* speaks to."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    assert isinstance(transport.app, Starlette)
    service: Idempotency = transport.app.state.idempotency
    return service
