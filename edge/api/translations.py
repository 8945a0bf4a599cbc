"""``POST /v1/audio/translations``."""

from starlette.requests import Request
from starlette.responses import Response

from edge.api.answer import begin
from edge.api.recording_form import parse_recording
from edge.api.requests import TranslationForm
from edge.api.transcript import Presentation
from edge.api.transcriptions import transcribed
from edge.errors import InvalidField
from edge.models.served import ServedModels
from edge.workers.messages import Transcribe

TRANSLATION = "translation"
"""The capability of models that can."""


async def translations(request: Request) -> Response:
    """Write down in English what is said in another language. For models of several languages."""
    asked = (await parse_recording(request, TranslationForm)).asked
    if asked.model is None:
        raise InvalidField("model: name a speech-to-text model that can translate", param="model")
    models: ServedModels = request.app.state.models
    served = models.find_for(asked.model, "stt")
    answer = begin(request, served, "translation-")
    if TRANSLATION not in served.model.capabilities:
        able = [other.id for other in models if TRANSLATION in other.model.capabilities]
        hint = f"{', '.join(able)} can" if able else "no model that can is served here; whisper-base could"
        raise InvalidField(
            f"model: {served.id} understands one language only and cannot translate; {hint}", param="model"
        )
    how = Presentation(format=asked.response_format or "json", translated=True)
    order = Transcribe(
        audio=asked.file,
        prompt=asked.prompt,
        temperature=asked.temperature or 0.0,
        translate=True,
        caller=request.state.key.id,
    )
    return await transcribed(request, served, order, how, answer)
