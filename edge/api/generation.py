"""What chat and completions share: the worker's orders, and the answer that their events make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.api.answer import Answer, begin
from edge.api.choices import Choices
from edge.api.event_source import open_event_source
from edge.api.leaving import unless_gone
from edge.api.metered import metered
from edge.api.requests import Sampling
from edge.api.text_shape import TextShape
from edge.errors import InvalidField, WorkerFailed
from edge.models.served import ServedModel
from edge.workers.messages import Generate
from edge.workers.stream import EventStream
from shared.http.json import JsonResponse


def generate_order(request: Request, sampling: Sampling, *, choice: int, **specific: Any) -> Generate:
    """Return the worker's order for one choice, with OpenAI's defaults for what is absent.

    *specific* are the fields of ``Generate`` that only chats or only completions have. Choices of one seed
    must differ, and be the same again with the same seed: each adds its number.
    """
    return Generate(
        max_tokens=sampling.token_limit,
        temperature=_or(sampling.temperature, 1.0),
        top_p=_or(sampling.top_p, 1.0),
        top_k=sampling.top_k or 0,
        min_p=_or(sampling.min_p, 0.0),
        frequency_penalty=_or(sampling.frequency_penalty, 0.0),
        presence_penalty=_or(sampling.presence_penalty, 0.0),
        repetition_penalty=_or(sampling.repetition_penalty, 1.0),
        logit_bias=[(int(token), bias) for token, bias in (sampling.logit_bias or {}).items()],
        seed=None if sampling.seed is None else (sampling.seed + choice) & 0xFFFFFFFF,
        stop=sampling.stop or [],
        caller=request.state.key.id,
        **specific,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def refuse_too_many(prompts: int, per_prompt: int, queue_limit: int, *, param: str = "n") -> None:
    """Raise if a request alone has more choices than its model's queue ever holds.

    *param* is the field that says how many choices each prompt has.

    Raises:
        InvalidField: with the name of the field that asks for too many.
    """
    if prompts > queue_limit:
        raise InvalidField(
            f"prompt holds more than {queue_limit} prompts; send several requests", param="prompt"
        )
    if prompts * per_prompt > queue_limit:
        raise InvalidField(
            f"{param} asks for {prompts * per_prompt} choices in all; the model holds {queue_limit}",
            param=param,
        )


async def collect(request: Request, stream: EventStream, choices: Choices) -> None:
    """Fill *choices* from *stream*.

    Raises:
        ClientGone: the client left; the work is stopped.
        ApiError: the worker refused the request or failed.
    """

    async def drain() -> None:
        async for index, event in stream:
            choices.keep(index, event)

    await unless_gone(request.receive, drain())
    if not choices.complete:
        raise WorkerFailed("The model's answer broke off")


@dataclass(frozen=True, slots=True)
class TextWork:
    """The *orders* of a request, *per_prompt* in a row for each prompt, of which the best *keep* are told."""

    orders: Sequence[Generate]
    per_prompt: int
    keep: int
    id_prefix: str
    shape: Callable[[Answer, Choices], TextShape]


async def answer_text(request: Request, served: ServedModel, work: TextWork, *, stream: bool) -> Response:
    """Answer with what *work* makes, in its shape: at once, or with server-sent events.

    Raises:
        InvalidField: the orders are more than the model's queue holds.
        ClientGone: the client left; the work is stopped.
        ApiError: the worker refused the request or failed.
    """
    count = len(work.orders)
    param = "n" if work.keep == work.per_prompt else "best_of"
    refuse_too_many(count // work.per_prompt, work.per_prompt, served.worker.queue_limit, param=param)
    answer = begin(request, served, work.id_prefix)
    choices = Choices(count, work.per_prompt, answer)
    shape = work.shape(answer, choices)
    opened = metered(request, served, *work.orders, per_prompt=work.per_prompt)
    if stream:
        return await open_event_source(request, opened, shape, answer.headers)
    async with opened as events:
        await collect(request, events, choices)
    return JsonResponse(shape.whole(choices.likeliest(work.keep)), headers=answer.final_headers)
