"""The order in which the middleware is stacked."""

from collections.abc import Mapping

from starlette.types import ASGIApp

from shared.http.access_log import AccessLogMiddleware
from shared.http.body import BodyLimitMiddleware
from shared.http.drain import Drain, DrainMiddleware
from shared.http.paths import NormalisePathMiddleware
from shared.http.request_id import RequestIdMiddleware


def wrap(app: ASGIApp, *, drain: Drain, body_limits: Mapping[str, int], read_seconds: float) -> ASGIApp:
    """Put *app* behind the middleware that every service has, the outermost first to see a request.

    It goes around the whole Starlette app, not inside: so even the answer to an unexpected exception
    carries its request id and is logged.
    """
    app = BodyLimitMiddleware(app, limits=body_limits, read_seconds=read_seconds)
    app = DrainMiddleware(app, drain=drain)
    app = AccessLogMiddleware(app)
    app = RequestIdMiddleware(app)
    return NormalisePathMiddleware(app)
