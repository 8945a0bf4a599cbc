"""``POST /v1/models/load``, ``/v1/models/unload`` and ``/v1/models/unload-all``, for operators.

What fails has an error status and the error body, with the fields of the answer beside it, so that a caller
who looks for ``status: failed`` finds it too.
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.api.model_types import (
    LoadAnswer,
    LoadRequest,
    UnloadAllAnswer,
    UnloadAllRequest,
    UnloadAnswer,
    UnloadRequest,
)
from edge.api.parsing import parse_json
from edge.errors import ModelBusy, StillUnloading
from shared.errors import ApiError
from shared.http.json import JsonResponse


async def load_model(request: Request) -> Response:
    """Load a model of the catalogue, fetched first if need be.

    Waits for it a while; a load that takes longer answers `loading` and goes on by itself. Calls for a model
    whose load is under way join it. Memory is checked before: nothing is unloaded to make room.
    """
    body = await parse_json(request, LoadRequest)
    reload = bool(body.force_reload)
    try:
        loaded = await request.app.state.lifecycle.load(
            body.model_name, reload=reload, force=bool(body.force)
        )
    except ApiError as error:
        fields = {"model": _named(request, body.model_name), "force_reload": reload, "message": error.detail}
        return _refusal(error, fields)
    content: LoadAnswer = {
        "status": loaded.status,
        "model": loaded.model,
        "force_reload": reload,
        "message": loaded.message,
    }
    return JsonResponse(content)


async def unload_model(request: Request) -> Response:
    """Unload a model, or end its load; once this is answered its memory is free again.

    With requests in flight it stays, unless `force` ends them. A model that is not loaded is a success.
    """
    body = await parse_json(request, UnloadRequest)
    try:
        model = await request.app.state.lifecycle.unload(body.model_name, force=bool(body.force))
    except ApiError as error:
        return _refusal(error, {"model": _named(request, body.model_name), "message": error.detail})
    content: UnloadAnswer = {
        "status": "success",
        "model": model,
        "message": f"{model} is not loaded any more",
    }
    return JsonResponse(content)


async def unload_all_models(request: Request) -> Response:
    """Unload every model. The body may be absent.

    A model with requests in flight stays, unless `force` ends them; the others are unloaded all the same.
    """
    sent = (await request.body()).strip()
    body = await parse_json(request, UnloadAllRequest) if sent else UnloadAllRequest()
    done = await request.app.state.lifecycle.unload_all(force=bool(body.force))
    if done.errors and not done.models:
        refusal = StillUnloading if done.late else ModelBusy
        error = refusal(_joined(done.errors))
        return _refusal(error, {"unloaded_models": [], "errors": list(done.errors), "total_unloaded": 0})
    content: UnloadAllAnswer = {
        "status": "partial" if done.errors else "success",
        "unloaded_models": list(done.models),
        "errors": list(done.errors),
        "total_unloaded": len(done.models),
    }
    return JsonResponse(content)


SHOWN_ERRORS = 3


def _joined(errors: tuple[str, ...]) -> str:
    more = f"; and {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
    return "; ".join(errors[:SHOWN_ERRORS]) + more


def _named(request: Request, name: str) -> str:
    """Return the id behind *name*, or the name itself where there is none."""
    try:
        model: str = request.app.state.models.resolve(name).id
    except ApiError:
        return name
    return model


def _refusal(error: ApiError, fields: Mapping[str, Any]) -> Response:
    content = error.body() | {"status": "failed"} | dict(fields)
    return JsonResponse(content, error.status, headers=error.headers)
