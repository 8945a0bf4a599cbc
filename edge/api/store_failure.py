"""The answer where a database fails: never a bad key, never a bug."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from edge.errors import StoreUnavailable
from shared.errors import error_response

log = structlog.get_logger(__name__)


async def handle_store_error(_request: Request, error: Exception) -> Response:
    """Answer 503; what the database said is for the log alone."""
    log.warning("a database failed", error=str(error))
    return error_response(StoreUnavailable("The database does not answer right now; try again"))
