"""``GET /v1/models``, ``/v1/models/{id}`` and ``/v1/models/status``."""

from collections.abc import Iterable
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import Response

from edge.api.authorise import require_model
from edge.api.responses import ModelInfo, ModelList, ModelStatus, Pricing
from edge.models import weights
from edge.models.prices import MICRO, Price
from edge.models.served import ServedModel
from edge.workers.worker import State
from shared.http.json import JsonResponse

REPOSITORY = "/models"
"""What the published API answers; where the files really lie is nobody's business."""


async def list_models(request: Request) -> Response:
    """List every model that this edge serves and the key may be used for. One that was unloaded is not among
    them."""
    settings = request.app.state.settings
    allowed = [served for served in request.app.state.models if request.state.key.may_use(served.id)]
    data = await _described(allowed, settings.edge_region, settings.cache)
    content: ModelList = {"object": "list", "data": data}
    return JsonResponse(content)


async def get_model(request: Request) -> Response:
    """Describe one model, found by its id or an alias; either may hold slashes."""
    served = request.app.state.models.find(request.path_params["model"])
    require_model(request.state.key, served.id)
    settings = request.app.state.settings
    (info,) = await _described([served], settings.edge_region, settings.cache)
    return JsonResponse(info)


async def model_status(request: Request) -> Response:
    """Tell which models are loaded right now, and what became of the others that are or were served."""
    states = request.app.state.models.states()
    content: ModelStatus = {
        "loaded": [name for name, state in states.items() if state is State.LOADED],
        "loading_status": {name: state.value for name, state in states.items()},
        "repository": REPOSITORY,
    }
    return JsonResponse(content)


async def _described(models: Iterable[ServedModel], region: str, cache: Path) -> list[ModelInfo]:
    """Describe *models* in a thread: the layout of their weights stands in small files."""
    listed = list(models)
    return await anyio.to_thread.run_sync(lambda: [model_info(served, region, cache) for served in listed])


def model_info(served: ServedModel, region: str, cache: Path) -> ModelInfo:
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
        "pricing": pricing(model.price),
    }
    if model.kind == "chat" or model.kind == "embedding":
        info["pg_model_type"] = model.kind
        info["pg_pricing"] = {
            "input_tokens": model.price.input / MICRO / 1000,
            "output_tokens": model.price.output / MICRO / 1000,
            "unit": "per_1k_tokens",
        }
    if model.parameters:
        info["pg_parameters"] = model.parameters
    if model.context_tokens:
        info["pg_max_tokens"] = model.context_tokens
    if (chosen := weights(model, cache)) is not None:
        info["pg_quantization"] = chosen.layout
        info["pg_weights"] = {
            "layout": chosen.layout,
            "published": chosen.published_layout,
            "perplexity_ratio": chosen.perplexity_ratio,
            "speedup": dict(chosen.speedup) if chosen.speedup is not None else None,
        }
    return info


def pricing(price: Price) -> Pricing:
    """Return what *price* asks money for."""
    asked = {
        "input_per_million": price.input,
        "cached_per_million": price.cached,
        "output_per_million": price.output,
        "per_minute": price.minute,
        "per_thousand_characters": price.thousand_characters,
    }
    told: Pricing = {name: micro / MICRO for name, micro in asked.items() if micro}  # type: ignore[assignment]
    return told
