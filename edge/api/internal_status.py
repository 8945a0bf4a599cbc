"""``GET /internal/status``: for the autorouters of this grid, by the secret that they share."""

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from edge.models.served import ServedModels
from shared.edge_status import CONTENT_TYPE, EdgeStatus, ModelStatus, encode


async def internal_status(request: Request) -> Response:
    """Tell which models this edge serves and how busy each is; also while it is draining."""
    state = request.app.state
    status = EdgeStatus(
        region=state.settings.edge_region,
        draining=state.drain.draining,
        models=tuple(_models(state.models, state.settings.soft_limit)),
    )
    return Response(encode(status), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _models(models: ServedModels, soft_limit: int) -> Iterator[ModelStatus]:
    for served in models:
        yield ModelStatus(
            id=served.id,
            names=(served.id, *served.model.aliases),
            state=served.worker.state.value,
            in_flight=served.worker.in_flight,
            soft_limit=soft_limit,
            limit=served.worker.queue_limit,
        )
