"""GET /health."""

import platform
import time
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from autorouter.conditions import count_conditions
from autorouter.geoip import GeoIP
from autorouter.grid import Grid
from autorouter.grid_state import GridState
from shared.clock import rfc3339
from shared.errors import Unavailable
from shared.http.drain import Drain
from shared.http.json import JsonResponse

DAY_SECONDS = 86400


async def health(request: Request) -> Response:
    """Answer whether this autorouter should get requests: 200, or 503 once it is about to stop."""
    state = request.app.state
    drain: Drain = state.drain
    geoip: GeoIP = state.geoip
    grid: Grid = state.grid
    known: GridState = state.poller.state
    body: dict[str, Any] = {
        "status": "unhealthy" if drain.draining else "healthy",
        "node": "autorouter",
        "runtime": f"python {platform.python_version()}",
        "timestamp": rfc3339(datetime.now(UTC), timespec="milliseconds"),
        "regions": len(grid.regions),
        "edges": {
            "watched": known.watched,
            **count_conditions((region.id for region in grid.regions), known),
        },
        "geoip": {
            "file": geoip.info.file,
            "database_type": geoip.info.database_type,
            "build_epoch": geoip.info.build_epoch,
            "age_days": int(geoip.info.age_seconds(time.time())) // DAY_SECONDS,
        },
    }
    if not drain.draining:
        return JsonResponse(body)
    refusal = Unavailable("This server is shutting down", code="shutting_down")
    return JsonResponse(body | refusal.body(), refusal.status, headers=refusal.headers)
