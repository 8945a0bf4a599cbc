"""``POST /v1/completions`` and ``POST /v1/completions/stream``."""

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.api.answer import Answer
from edge.api.choices import Choice, Choices
from edge.api.generation import TextWork, answer_text, generate_order
from edge.api.logprobs import TextOffsets
from edge.api.parsing import parse_json
from edge.api.requests import MAX_PROMPTS, CompletionRequest
from edge.api.text_shape import TextShape
from edge.errors import InvalidField
from edge.workers.messages import Text


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
    keep = body.n or 1
    per_prompt = keep if body.best_of is None else body.best_of
    _refuse(body, keep, per_prompt, stream=stream)
    # The best of several cannot be told without.
    logprobs = 0 if body.logprobs is None and per_prompt > keep else body.logprobs
    orders = [
        generate_order(
            request,
            body,
            choice=choice,
            prompt=prompt,
            logprobs=logprobs,
            echo=bool(body.echo),
            suffix=body.suffix or None,
        )
        for prompt in body.prompts
        for choice in range(per_prompt)
    ]
    shape = partial(
        CompletionShape,
        logprobs=body.logprobs is not None,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
    )
    work = TextWork(orders, per_prompt, keep, "cmpl-", shape)
    return await answer_text(request, served, work, stream=stream)


def _refuse(body: CompletionRequest, keep: int, per_prompt: int, *, stream: bool) -> None:
    if len(body.prompts) > MAX_PROMPTS:
        raise InvalidField(
            f"prompt holds more than {MAX_PROMPTS} prompts; send several requests", param="prompt"
        )
    if body.token_limit == 0 and not body.echo:
        limit = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
        raise InvalidField(
            f"{limit}: 0 makes no text; ask for 1 or more, or set echo to have the prompt scored",
            param=limit,
        )
    if per_prompt < keep:
        raise InvalidField(f"best_of: {per_prompt} is less than n, which is {keep}", param="best_of")
    if per_prompt > keep and stream:
        raise InvalidField(
            "best_of: the best are known only at the end; do not stream, or ask for no more than n",
            param="best_of",
        )


class CompletionShape(TextShape):
    """The finish reason of a streamed choice comes with an empty text."""

    object_name = chunk_name = "text_completion"

    def __init__(self, answer: Answer, choices: Choices, *, logprobs: bool, include_usage: bool) -> None:
        super().__init__(answer, choices, include_usage=include_usage)
        self._offsets = [TextOffsets() for _ in range(len(choices))] if logprobs else None

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        logprobs = None if self._offsets is None else self._offsets[index].shape(choice.rows)
        return _element(index, choice.text, logprobs, choice.finish_reason)

    def text(self, index: int, event: Text) -> dict[str, Any] | None:
        if self._offsets is None or not event.logprobs:
            return _element(index, event.text, None, None) if event.text else None
        return _element(index, event.text, self._offsets[index].shape(event.logprobs), None)

    def end(self, index: int, finish_reason: str) -> dict[str, Any]:
        return _element(index, "", None, finish_reason)


def _element(index: int, text: str, logprobs: Any, finish_reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish_reason}
