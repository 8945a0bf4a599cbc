"""``GET /v1/models``, ``/v1/models/{id}`` and ``/v1/models/status``."""

from starlette.requests import Request
from starlette.responses import Response

from edge.api.responses import ModelInfo, ModelList, ModelStatus
from edge.models.served import ServedModel
from edge.workers.worker import State
from shared.http.json import JsonResponse

REPOSITORY = "/models"
"""What the published API answers; where the files really lie is nobody's business."""


async def list_models(request: Request) -> Response:
    """List every model that this edge serves. One that was unloaded is not among them."""
    region = request.app.state.settings.edge_region
    content: ModelList = {
        "object": "list",
        "data": [model_info(served, region) for served in request.app.state.models],
    }
    return JsonResponse(content)


async def get_model(request: Request) -> Response:
    """Describe one model, found by its id or an alias; either may hold slashes."""
    served = request.app.state.models.find(request.path_params["model"])
    return JsonResponse(model_info(served, request.app.state.settings.edge_region))


async def model_status(request: Request) -> Response:
    """Tell which models are loaded right now, and what became of the others that are or were served."""
    states = request.app.state.models.states()
    content: ModelStatus = {
        "loaded": [name for name, state in states.items() if state is State.LOADED],
        "loading_status": {name: state.value for name, state in states.items()},
        "repository": REPOSITORY,
    }
    return JsonResponse(content)


def model_info(served: ServedModel, region: str) -> ModelInfo:
    """Return *served* as the list shows it."""
    model = served.model
    info: ModelInfo = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "root": model.id,
        "parent": None,
        "permission": [],
        "pg_regions": [region],
        "aliases": list(model.aliases),
    }
    if model.kind == "chat" or model.kind == "embedding":
        info["pg_model_type"] = model.kind
    if model.parameters:
        info["pg_parameters"] = model.parameters
    if model.context_tokens:
        info["pg_max_tokens"] = model.context_tokens
    return info
