"""``POST /v1/chat/completions``."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.api.answer import Answer
from edge.api.chat_images import fetch_images
from edge.api.choices import Choice, Choices
from edge.api.generation import TextWork, answer_text, generate_order
from edge.api.logprobs import chat_logprobs
from edge.api.parsing import parse_json
from edge.api.requests import ChatRequest
from edge.api.text_shape import TextShape
from edge.api.tool_calls import AskedTools, asked_tools, deltas
from edge.api.turns import turns
from edge.errors import InvalidField
from edge.workers.messages import Text, ToolCall


async def chat_completions(request: Request) -> Response:
    """Answer a chat, at once or as it is made."""
    body = await parse_json(request, ChatRequest)
    served = request.app.state.models.find_for(body.model, "chat")
    if body.top_logprobs and not body.logprobs:
        raise InvalidField("top_logprobs: set logprobs to true as well", param="top_logprobs")
    asked = asked_tools(body)
    schema = _schema(body, asked)
    images = await fetch_images(request, served, body.messages)
    messages = turns(body.messages, images)
    count = body.n or 1
    orders = [
        generate_order(
            request,
            body,
            choice=choice,
            messages=messages,
            enable_thinking=bool(body.enable_thinking),
            logprobs=(body.top_logprobs or 0) if body.logprobs else None,
            json_schema=schema,
            tools=asked.tools,
            tool_choice=asked.choice,
            tool_name=asked.name,
            parallel_tool_calls=asked.parallel,
        )
        for choice in range(count)
    ]
    shape = partial(
        ChatShape,
        logprobs=bool(body.logprobs),
        legacy=asked.legacy,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
    )
    work = TextWork(orders, count, count, "chatcmpl-", shape)
    return await answer_text(request, served, work, stream=bool(body.stream))


def _schema(body: ChatRequest, asked: AskedTools) -> dict[str, Any] | None:
    """Return the schema that the answer must fit.

    Raises:
        InvalidField: the answer may be a function call as well.
    """
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return None
    if asked.tools and asked.choice != "none":
        raise InvalidField(
            "response_format: with functions that may be called the answer cannot be held to JSON; leave one "
            "of them out, or set tool_choice to none",
            param="response_format",
        )
    return wanted.json_schema.schema_ if wanted.json_schema and wanted.type == "json_schema" else ANY_OBJECT


ANY_OBJECT = {"type": "object"}
"""What ``json_object`` asks for."""


class ChatShape(TextShape):
    """Chunks have the role first, then content or calls, and the finish reason in an empty delta."""

    object_name = "chat.completion"
    chunk_name = "chat.completion.chunk"

    def __init__(
        self, answer: Answer, choices: Choices, *, logprobs: bool, legacy: bool, include_usage: bool
    ) -> None:
        super().__init__(answer, choices, include_usage=include_usage)
        self._logprobs = logprobs
        self._legacy = legacy

    def opening(self) -> Iterable[dict[str, Any]]:
        for index in range(len(self._choices)):
            yield self.chunk((_element(index, {"role": "assistant", "content": ""}, None),))

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        calls = choice.calls.finished
        message: dict[str, Any] = {"role": "assistant", "content": choice.text or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
            if self._legacy:
                message["function_call"] = calls[0]["function"]
        return {
            "index": index,
            "message": message,
            "logprobs": chat_logprobs(choice.rows) if self._logprobs else None,
            "finish_reason": choice.finish_reason,
        }

    def text(self, index: int, event: Text) -> dict[str, Any] | None:
        if not self._logprobs or not event.logprobs:
            return _element(index, {"content": event.text}, None) if event.text else None
        element = _element(index, {"content": event.text}, None)
        element["logprobs"] = chat_logprobs(event.logprobs)
        return element

    def call(self, index: int, event: ToolCall) -> Iterable[dict[str, Any]]:
        return [_element(index, delta, None) for delta in deltas(event, legacy=self._legacy)]

    def end(self, index: int, finish_reason: str) -> dict[str, Any]:
        return _element(index, {}, finish_reason)


def _element(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}
