"""``POST /v1/chat/completions``."""

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.api.generation import TextShape, answer_text, generate_order, refuse
from edge.api.parsing import parse_json
from edge.api.requests import ChatRequest, Message
from edge.errors import InvalidField
from edge.workers.messages import Generate


async def chat_completions(request: Request) -> Response:
    """Answer a chat, at once or as it is made."""
    body = await parse_json(request, ChatRequest)
    served = request.app.state.models.find_for(body.model, "chat")
    _refuse_unserved(body, served.id)
    count = body.n or 1
    return await answer_text(
        request,
        served,
        [_order(body, choice) for choice in range(count)],
        ChatShape,
        id_prefix="chatcmpl-",
        per_prompt=count,
        stream=bool(body.stream),
        options=body.stream_options,
    )


class ChatShape(TextShape):
    """Chunks have the role first, then content, and the finish reason in an empty delta."""

    object_name = "chat.completion"
    chunk_name = "chat.completion.chunk"

    def opening(self) -> Iterable[dict[str, Any]]:
        for index in range(len(self._choices.ends)):
            yield self.chunk(
                [{"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
            )

    def choice(self, index: int, text: str, finish_reason: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}

    def delta(self, index: int, text: str | None, finish_reason: str | None) -> dict[str, Any]:
        content = {} if text is None else {"content": text}
        return {"index": index, "delta": content, "finish_reason": finish_reason}


def _order(body: ChatRequest, choice: int) -> Generate:
    return generate_order(
        body,
        choice=choice,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        messages=[_turn(message) for message in body.messages],
        enable_thinking=bool(body.enable_thinking),
    )


def _turn(message: Message) -> dict[str, Any]:
    """Return *message* as chat templates want it: plain text, and only the keys that are set."""
    role = "system" if message.role == "developer" else message.role
    turn: dict[str, Any] = {"role": role, "content": message.text}
    if message.name is not None:
        turn["name"] = message.name
    if message.tool_calls:
        turn["tool_calls"] = [call.model_dump() for call in message.tool_calls]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _refuse_unserved(body: ChatRequest, model: str) -> None:
    for index, message in enumerate(body.messages):
        if message.has_image:
            raise InvalidField(
                f"model '{model}' does not support image input", param=f"messages.{index}.content"
            )
    refuse(
        [
            ("tools", bool(body.tools) and body.tool_choice != "none"),
            ("functions", bool(body.functions) and body.function_call != "none"),
            ("response_format", body.response_format is not None and body.response_format.type != "text"),
            ("logprobs", bool(body.logprobs)),
            ("top_logprobs", bool(body.top_logprobs)),
            ("logit_bias", bool(body.logit_bias)),
        ]
    )
