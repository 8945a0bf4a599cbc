"""Builds an edge: its services, its routes, and what starts and stops them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp

from edge.accounts import KeyService
from edge.api.openapi import build as build_openapi
from edge.api.operation import routes
from edge.api.table import OPERATIONS
from edge.images import ImageSource
from edge.jobs import TranscriptionJobs
from edge.models.lifecycle import Lifecycle
from edge.models.served import ServedModels
from edge.outbound import OutboundClient
from edge.settings import EdgeSettings
from edge.store import KeyStore, database_file, open_database
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
        async with open_database(database_file(settings.home)) as database:
            app.state.keys = KeyService(KeyStore(database), cache_seconds=settings.edge_key_cache_seconds)
            async with app.state.lifecycle.running(), app.state.jobs.running():
                yield

    app = Starlette(routes=routes(OPERATIONS), exception_handlers=EXCEPTION_HANDLERS, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.models = models
    app.state.lifecycle = lifecycle or Lifecycle(models, settings)
    app.state.jobs = TranscriptionJobs(settings, models)
    app.state.drain = drain
    app.state.images = ImageSource(outbound or OutboundClient(), max_bytes=settings.edge_image_limit_bytes)
    app.state.openapi = build_openapi(OPERATIONS)
    limits = {"": settings.edge_body_limit_bytes} | dict.fromkeys(RECORDINGS, settings.edge_audio_limit_bytes)
    return wrap(app, drain=drain, body_limits=limits, read_seconds=settings.body_read_seconds)
