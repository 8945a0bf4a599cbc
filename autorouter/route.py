"""GET /v1/route."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from autorouter.choose import Choice, ModelNotServed, UnknownRegion, choose, parse_scope
from autorouter.grid import Grid
from autorouter.grid_state import GridState
from autorouter.locate import Locator
from autorouter.place import Place
from shared.errors import NotFound
from shared.http.json import JsonResponse
from shared.regions import Region


async def route(request: Request) -> Response:
    """Answer which edge the caller should talk to.

    The query's ``scope`` is country or global, ``model`` what the edge must serve, ``region`` the id or
    alias of the one that the caller wants.

    Raises:
        NotFound: no edge serves that model, or there is no such region.
    """
    state = request.app.state
    locator: Locator = state.locator
    grid: Grid = state.grid
    edges: GridState = state.poller.state
    ttl_seconds: int = state.settings.route_ttl_seconds

    peer = request.client.host if request.client is not None else None
    place = locator.locate(request.headers, peer).place
    asked = request.query_params
    try:
        choice = choose(
            place, parse_scope(asked.get("scope")), asked.get("model"), grid, edges, asked.get("region")
        )
    except ModelNotServed as error:
        raise NotFound(str(error), param="model", code="model_not_found") from None
    except UnknownRegion as error:
        raise NotFound(str(error), param="region", code="region_not_found") from None
    return JsonResponse(
        _answer(choice, place, ttl_seconds),
        headers={"Cache-Control": f"private, max-age={ttl_seconds}"},
    )


def _answer(choice: Choice, place: Place | None, ttl_seconds: int) -> dict[str, Any]:
    """``country`` is the caller's; it and ``distance_km`` are null where they are unknown."""
    distance_km = choice.distance_km
    return {
        **_edge(choice.region),
        "ttl": ttl_seconds,
        "country": place.country if place is not None else None,
        "distance_km": round(distance_km, 1) if distance_km is not None else None,
        "reason": choice.reason,
        "degraded": choice.degraded,
        "fallbacks": [_edge(region) for region in choice.fallbacks],
    }


def _edge(region: Region) -> dict[str, str]:
    return {"region": region.id, "name": region.name, "endpoint": region.url}
