"""``POST /v1/completions`` and ``POST /v1/completions/stream``."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.api.generation import TextShape, answer_text, generate_order, refuse
from edge.api.parsing import parse_json
from edge.api.requests import MAX_PROMPTS, CompletionRequest
from edge.errors import InvalidField


async def completions(request: Request) -> Response:
    """Continue one prompt or several, at once or as it is made."""
    body = await parse_json(request, CompletionRequest)
    return await _answer(request, body, stream=bool(body.stream))


async def completions_stream(request: Request) -> Response:
    """Continue one prompt or several as it is made, whatever ``stream`` says."""
    body = await parse_json(request, CompletionRequest)
    return await _answer(request, body, stream=True)


async def _answer(request: Request, body: CompletionRequest, *, stream: bool) -> Response:
    served = request.app.state.models.find_for(body.model, "chat")
    _refuse_unserved(body)
    per_prompt = body.n or 1
    if len(body.prompts) > MAX_PROMPTS:
        raise InvalidField(
            f"prompt holds more than {MAX_PROMPTS} prompts; send several requests", param="prompt"
        )
    orders = [
        generate_order(body, choice=choice, max_tokens=body.max_tokens, prompt=prompt)
        for prompt in body.prompts
        for choice in range(per_prompt)
    ]
    return await answer_text(
        request,
        served,
        orders,
        CompletionShape,
        id_prefix="cmpl-",
        per_prompt=per_prompt,
        stream=stream,
        options=body.stream_options,
    )


class CompletionShape(TextShape):
    """The finish reason of a streamed choice comes with an empty text."""

    object_name = chunk_name = "text_completion"

    def choice(self, index: int, text: str, finish_reason: str) -> dict[str, Any]:
        return self.delta(index, text, finish_reason)

    def delta(self, index: int, text: str | None, finish_reason: str | None) -> dict[str, Any]:
        return {"text": text or "", "index": index, "logprobs": None, "finish_reason": finish_reason}


def _refuse_unserved(body: CompletionRequest) -> None:
    refuse(
        [
            ("echo", bool(body.echo)),
            ("suffix", bool(body.suffix)),
            ("best_of", (body.best_of or 1) > 1),
            ("logprobs", body.logprobs is not None),
            ("logit_bias", bool(body.logit_bias)),
        ]
    )
