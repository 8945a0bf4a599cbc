"""What chat and completions share: sampling fields, and the text of several choices as it grows."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.api.answer import Answer, begin, usage
from edge.api.event_source import open_event_source
from edge.api.leaving import unless_gone
from edge.api.requests import Sampling, StreamOptions
from edge.api.responses import Usage
from edge.errors import InvalidField, WorkerFailed
from edge.models.served import ServedModel
from edge.workers.messages import Event, Generate, Generated, Text
from edge.workers.stream import EventStream
from shared.errors import ApiError
from shared.http.json import JsonResponse


def generate_order(
    sampling: Sampling,
    *,
    choice: int,
    max_tokens: int | None,
    messages: list[dict[str, Any]] | None = None,
    prompt: str | list[int] | None = None,
    enable_thinking: bool = False,
) -> Generate:
    """Return the worker's order for one choice, with OpenAI's defaults for what is absent.

    Choices of one seed must differ, and be the same again with the same seed: each adds its number.
    """
    return Generate(
        messages=messages,
        prompt=prompt,
        max_tokens=max_tokens,
        temperature=_or(sampling.temperature, 1.0),
        top_p=_or(sampling.top_p, 1.0),
        top_k=sampling.top_k or 0,
        min_p=_or(sampling.min_p, 0.0),
        frequency_penalty=_or(sampling.frequency_penalty, 0.0),
        presence_penalty=_or(sampling.presence_penalty, 0.0),
        repetition_penalty=_or(sampling.repetition_penalty, 1.0),
        seed=None if sampling.seed is None else (sampling.seed + choice) & 0xFFFFFFFF,
        stop=sampling.stop or [],
        enable_thinking=enable_thinking,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def refuse(unserved: Iterable[tuple[str, bool]]) -> None:
    """Raise for the first field that asks for something that is not served.

    Raises:
        InvalidField: with the field's name.
    """
    for name, asked in unserved:
        if asked:
            raise InvalidField(f"{name} is not served by this edge; leave it out", param=name)


def refuse_too_many(prompts: int, per_prompt: int, queue_limit: int) -> None:
    """Raise if a request alone has more choices than its model's queue ever holds.

    Raises:
        InvalidField: with the name of the field that asks for too many.
    """
    if prompts > queue_limit:
        raise InvalidField(
            f"prompt holds more than {queue_limit} prompts; send several requests", param="prompt"
        )
    if prompts * per_prompt > queue_limit:
        raise InvalidField(
            f"n asks for {prompts * per_prompt} choices in all; the model holds {queue_limit}", param="n"
        )


class Choices:
    """The choices of one answer, filled event by event.

    Every *per_prompt* choices in a row continue the same prompt, whose tokens are counted once.
    """

    def __init__(self, count: int, per_prompt: int, answer: Answer) -> None:
        self.texts: list[list[str]] = [[] for _ in range(count)]
        self.ends: list[Generated | None] = [None] * count
        self._per_prompt = per_prompt
        self._answer = answer

    def add(self, index: int, event: Event) -> None:
        if isinstance(event, Text):
            self.texts[index].append(event.text)
        elif isinstance(event, Generated):
            self.ends[index] = event
            self._answer.note_times(event.queue_ms, event.inference_ms)

    @property
    def complete(self) -> bool:
        return all(end is not None for end in self.ends)

    def finished(self) -> list[tuple[str, str]]:
        """Return text and finish reason of every choice.

        Raises:
            WorkerFailed: a choice has no end.
        """
        reasons = [end.finish_reason for end in self.ends if end is not None]
        if len(reasons) != len(self.ends):
            raise WorkerFailed("The model's answer broke off")
        return [("".join(parts), reason) for parts, reason in zip(self.texts, reasons, strict=True)]

    @property
    def usage(self) -> Usage:
        ends = [end for end in self.ends if end is not None]
        prompt_tokens = sum(end.prompt_tokens for end in ends[:: self._per_prompt])
        return usage(prompt_tokens, sum(end.completion_tokens for end in ends))


async def collect(request: Request, stream: EventStream, choices: Choices) -> None:
    """Fill *choices* from *stream*.

    Raises:
        ClientGone: the client left; the work is stopped.
        ApiError: the worker refused the request or failed.
    """

    async def drain() -> None:
        async for index, event in stream:
            choices.add(index, event)

    await unless_gone(request.receive, drain())


class TextShape(ABC):
    """The answers of chat and completions, whole or in chunks.

    The last chunk of all carries usage, metadata and routing. A chunk never holds the key ``error``
    unless it is one.
    """

    object_name: str
    chunk_name: str

    def __init__(self, answer: Answer, choices: Choices, *, include_usage: bool) -> None:
        self._answer = answer
        self._choices = choices
        self._include_usage = include_usage

    @abstractmethod
    def choice(self, index: int, text: str, finish_reason: str) -> dict[str, Any]:
        """Return one element of a whole answer's ``choices``."""

    @abstractmethod
    def delta(self, index: int, text: str | None, finish_reason: str | None) -> dict[str, Any]:
        """Return one element of a chunk's ``choices``; *text* None is the last, empty one."""

    def whole(self) -> dict[str, Any]:
        """Return the answer to a request that is not streamed.

        Raises:
            WorkerFailed: a choice has no end.
        """
        choices = [self.choice(index, *ended) for index, ended in enumerate(self._choices.finished())]
        return self._object(self.object_name, choices) | self._measures()

    def opening(self) -> Iterable[dict[str, Any]]:
        return ()

    def feed(self, index: int, event: Event) -> Iterable[dict[str, Any]]:
        self._choices.add(index, event)
        if isinstance(event, Text):
            yield self.chunk([self.delta(index, event.text, None)])
        elif isinstance(event, Generated):
            last = self.chunk([self.delta(index, None, event.finish_reason)])
            if self._choices.complete:
                last |= self._measures()
            yield last

    def closing(self) -> Iterable[dict[str, Any]]:
        if self._include_usage:
            yield self.chunk([]) | {"usage": self._choices.usage}

    def failure(self, error: ApiError) -> dict[str, Any]:
        return {"error": error.body()["error"]}

    def chunk(self, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self._object(self.chunk_name, choices)

    def _object(self, name: str, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._answer.id,
            "object": name,
            "created": self._answer.created,
            "model": self._answer.model,
            "choices": choices,
        }

    def _measures(self) -> dict[str, Any]:
        return {
            "usage": self._choices.usage,
            "pg_metadata": self._answer.metadata,
            "routing": self._answer.routing,
        }


async def answer_text(
    request: Request,
    served: ServedModel,
    orders: Sequence[Generate],
    shape: type[TextShape],
    *,
    id_prefix: str,
    per_prompt: int,
    stream: bool,
    options: StreamOptions | None,
) -> Response:
    """Answer with what *orders* make, in the given *shape*: at once, or with server-sent events.

    Raises:
        InvalidField: *orders* are more than the model's queue holds.
        ClientGone: the client left; the work is stopped.
        ApiError: the worker refused the request or failed.
    """
    refuse_too_many(len(orders) // per_prompt, per_prompt, served.worker.queue_limit)
    answer = begin(request, served, id_prefix)
    choices = Choices(len(orders), per_prompt, answer)
    shaped = shape(answer, choices, include_usage=bool(options and options.include_usage))
    opened = served.worker.request(*orders)
    if stream:
        return await open_event_source(request, opened, shaped, answer.headers)
    async with opened as events:
        await collect(request, events, choices)
    return JsonResponse(shaped.whole(), headers=answer.final_headers)
