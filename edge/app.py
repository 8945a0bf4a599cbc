"""Builds an edge: its services, its routes, and what starts and stops them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from edge.accounts import TenantService
from edge.accounts.accounts import open_accounts
from edge.accounts.books import open_books
from edge.accounts.idempotency import Idempotency
from edge.accounts.limiter import open_limiter
from edge.api.openapi import build as build_openapi
from edge.api.operation import routes
from edge.api.repeats import Repeats
from edge.api.request_counts import RequestCounts
from edge.api.store_failure import handle_store_error
from edge.api.table import OPERATIONS
from edge.images import ImageSource
from edge.jobs import MeteredTranscriber, TranscriptionJobs
from edge.models.lifecycle import Lifecycle
from edge.models.served import ServedModels
from edge.outbound import OutboundClient
from edge.settings import EdgeSettings
from edge.store import StoreError, TenantStore, open_stores
from shared import regions
from shared.errors import EXCEPTION_HANDLERS
from shared.http.drain import Drain
from shared.http.stack import wrap

RECORDINGS = ("/v1/audio/transcriptions", "/v1/audio/translations")
"""Where bodies carry a recording."""


def build_app(
    settings: EdgeSettings,
    models: ServedModels,
    drain: Drain,
    lifecycle: Lifecycle | None = None,
    *,
    outbound: OutboundClient | None = None,
) -> ASGIApp:
    """Return the app of one edge that serves *models* and fetches what callers refer to by *outbound*.

    *lifecycle* loads and unloads the models.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with (
            open_stores(settings.home, settings.fleet_url) as stores,
            open_accounts(stores, settings) as accounts,
            open_books(stores, settings) as books,
        ):
            app.state.stores = stores
            app.state.accounts = accounts
            app.state.books = books
            app.state.idempotency = Idempotency(
                stores,
                answer_limit_bytes=settings.edge_replay_limit_bytes,
                total_limit_bytes=settings.edge_replays_limit_bytes,
            )
            app.state.repeats = Repeats(app.state.idempotency, drain)
            tenants = TenantService(TenantStore(stores.local))
            transcriber = MeteredTranscriber(books.metering, tenants, models, settings.edge_region)
            app.state.jobs = TranscriptionJobs(settings, transcriber)
            async with (
                open_limiter(settings) as app.state.limiter,
                app.state.lifecycle.running(),
                app.state.repeats.running(),
                app.state.jobs.running(),
            ):
                yield

    handlers: dict[Any, Any] = {**EXCEPTION_HANDLERS, StoreError: handle_store_error}
    app = Starlette(routes=routes(OPERATIONS), exception_handlers=handlers, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.models = models
    app.state.lifecycle = lifecycle or Lifecycle(models, settings)
    app.state.drain = drain
    app.state.requests = RequestCounts()
    app.state.regions = regions.load(settings.regions_file or regions.default_path())
    app.state.images = ImageSource(outbound or OutboundClient(), max_bytes=settings.edge_image_limit_bytes)
    app.state.openapi = build_openapi(OPERATIONS)
    limits = {"": settings.edge_body_limit_bytes} | dict.fromkeys(RECORDINGS, settings.edge_audio_limit_bytes)
    return wrap(app, drain=drain, body_limits=limits, read_seconds=settings.body_read_seconds)
