"""Builds the autorouter."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial

import anyio
import anyio.to_thread
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp

from autorouter.caching import CacheTimes
from autorouter.cors import CorsMiddleware
from autorouter.geoip import GeoIP, default_path
from autorouter.grid import Grid, load_grid
from autorouter.health import health
from autorouter.locate import Locator
from autorouter.metrics import metrics
from autorouter.no_store import NoStoreMiddleware
from autorouter.poller import Poller
from autorouter.reload import reload_on_hangup
from autorouter.route import RouteEndpoint
from autorouter.route_counts import RouteCounts
from autorouter.settings import AutorouterSettings
from autorouter.verbs import VerbMiddleware
from shared.errors import EXCEPTION_HANDLERS
from shared.http.drain import Drain
from shared.http.stack import wrap

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 5.0
"""How often a new GeoIP file is looked for, so that an update needs no restart."""


def build_app(settings: AutorouterSettings, *, drain: Drain | None = None) -> Starlette:
    """Return the app itself: the routes and what they need on ``app.state``.

    The GeoIP file is looked at here, so that a start that cannot work ends with a readable error, and is
    opened for as long as the app's lifespan.

    Raises:
        RegionsError: the regions file cannot be used, or has no discoverable region.
        SettingsError: the default region is none of those.
        GeoIPError: the GeoIP file cannot be used.
    """
    grid = load_grid(settings)
    geoip_file = default_path(settings)
    GeoIP.open(geoip_file).close()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with closing(GeoIP.open(geoip_file, copy=True)) as geoip:
            app.state.geoip = geoip
            app.state.locator = Locator.of(settings, geoip)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_follow, geoip)
                tasks.start_soon(app.state.poller.run)
                await tasks.start(reload_on_hangup, partial(load_grid, settings), partial(_publish, app))
                yield
                tasks.cancel_scope.cancel()

    counts = RouteCounts()
    app = Starlette(
        routes=[
            Route("/v1/route", RouteEndpoint(CacheTimes.of(settings), counts)),
            Route("/health", health),
            Route("/metrics", metrics),
        ],
        middleware=[Middleware(VerbMiddleware)],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.grid = grid
    app.state.poller = Poller.of(settings, grid.regions)
    app.state.counts = counts
    app.state.drain = drain if drain is not None else Drain()
    return app


def _publish(app: Starlette, grid: Grid) -> None:
    """Choose from *grid* from the next request on, and watch its edges."""
    app.state.grid = grid
    app.state.poller.follow(grid.regions)


async def _follow(geoip: GeoIP) -> None:
    while True:
        await anyio.sleep(REFRESH_SECONDS)
        try:
            await anyio.to_thread.run_sync(geoip.refresh)
        except Exception:
            # Whatever it is, the file at hand still answers.
            log.exception("geoip_refresh_failed")


def build_service(settings: AutorouterSettings, *, drain: Drain) -> ASGIApp:
    """Return what a server runs: the app behind the middleware of every service.

    Raises:
        RegionsError, SettingsError, GeoIPError: as :func:`build_app` does.
    """
    app = build_app(settings, drain=drain)
    # Nothing here keeps a body, so none is too large: what is wrong with such a request is its verb.
    limits = {"": sys.maxsize}
    wrapped = wrap(app, drain=drain, body_limits=limits, read_seconds=settings.body_read_seconds)
    return CorsMiddleware(NoStoreMiddleware(wrapped))
