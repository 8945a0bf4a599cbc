"""``GET /health``: for balancers and people, without a key."""

import platform
from collections.abc import Collection
from datetime import UTC, datetime
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from edge.api.responses import Health, Status
from edge.workers.worker import State
from shared.clock import rfc3339
from shared.errors import Unavailable
from shared.http.json import JsonResponse

# Reading a version takes a millisecond of the event loop.
VERSION = version("nearedge")
LLAMA_VERSION = version("llama-cpp-python")
RUNTIME = f"python {platform.python_version()}, llama-cpp-python {LLAMA_VERSION}"


async def health(request: Request) -> Response:
    """Tell how this edge is: 200 while it takes requests, 503 once it is shutting down."""
    state = request.app.state
    states = state.models.states()
    draining = state.drain.draining
    status: Status = "unhealthy" if draining else overall([served.worker.state for served in state.models])
    content: Health = {
        "status": status,
        "node": f"nearedge-{state.settings.edge_region}",
        "region": state.settings.edge_region,
        "runtime": RUNTIME,
        "version": VERSION,
        "timestamp": rfc3339(datetime.now(UTC)),
        "models": {name: value.value for name, value in states.items()},
        "features": {"dynamic_loading": True, "huggingface_support": True},
        "backend": {
            "healthy": status == "healthy",
            "info": {
                "name": "llama.cpp",
                "version": LLAMA_VERSION,
                "extensions": sorted({served.model.engine for served in state.models}),
            },
        },
    }
    if not draining:
        return JsonResponse(content)
    refusal = Unavailable("This edge is shutting down", code="shutting_down")
    return JsonResponse(content | refusal.body(), refusal.status, headers=refusal.headers)


def overall(states: Collection[State]) -> Status:
    """Return ``healthy`` if every served model is loaded, ``degraded`` if some are, else ``unhealthy``.

    What an operator unloaded is not served: that is how it is meant to be.
    """
    loaded = sum(state is State.LOADED for state in states)
    if loaded == len(states):
        return "healthy"
    return "degraded" if loaded else "unhealthy"
