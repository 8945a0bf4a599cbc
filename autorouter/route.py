"""GET /v1/route."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from autorouter.choose import Choice, choose, parse_scope
from autorouter.grid import Grid
from autorouter.locate import Locator
from autorouter.place import Place
from shared.http.json import JsonResponse
from shared.regions import Region


async def route(request: Request) -> Response:
    """Answer which edge the caller should talk to.

    The query's ``scope`` is country or global. ``model`` is accepted without effect, since the edges are
    not asked yet which models they serve.
    """
    state = request.app.state
    locator: Locator = state.locator
    grid: Grid = state.grid
    ttl_seconds: int = state.settings.route_ttl_seconds

    peer = request.client.host if request.client is not None else None
    place = locator.locate(request.headers, peer).place
    choice = choose(place, parse_scope(request.query_params.get("scope")), grid)
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
        "fallbacks": [_edge(region) for region in choice.fallbacks],
    }


def _edge(region: Region) -> dict[str, str]:
    return {"region": region.id, "name": region.name, "endpoint": region.url}
