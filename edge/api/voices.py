"""``GET /v1/audio/voices``."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response

from edge.api.audio_types import VoiceInfo, VoiceList
from edge.api.parsing import parse_fields
from edge.api.requests import VoicesQuery
from edge.errors import ModelNotReady
from edge.models.served import ServedModel, ServedModels
from shared.http.json import JsonResponse


async def list_voices(request: Request) -> Response:
    """List the voices of every speech model that is loaded, or of the one that ``model`` names.

    Each may also be asked for by one of its ``aliases``, and Kokoro's may be blended:
    ``af_bella(2)+am_adam(1)`` is two parts of the one and one part of the other.
    """
    query = parse_fields(dict(request.query_params), VoicesQuery)
    models: ServedModels = request.app.state.models
    data: list[VoiceInfo] = []
    for served in _speaking(models, query.model):
        data += (
            {
                "id": voice["id"],
                "name": voice["name"],
                "accent": voice["accent"],
                "gender": voice["gender"],
                "language": voice["language"],
                "aliases": voice["aliases"],
                "model": served.id,
            }
            for voice in served.worker.info.get("voices", ())
        )
    content: VoiceList = {"object": "list", "data": data}
    return JsonResponse(content)


def _speaking(models: ServedModels, name: str | None) -> Iterable[ServedModel]:
    if name is None:
        return [served for served in models if served.model.kind == "tts"]
    served = models.find_for(name, "tts")
    if not served.worker.info:
        raise ModelNotReady(f"The model {served.id} is {served.worker.state}; try again", retry_after=5)
    return [served]
