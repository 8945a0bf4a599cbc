"""The turns of a chat, brought into the shape that a chat template can take."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from edge.engines.base import InvalidRequest

Turn = dict[str, Any]

_SHORT_ID = 9
_ID_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def plain(messages: Sequence[Turn], *, image_marker: str | None) -> list[Turn]:
    """Return *messages* with content that is always text, and with calls whose arguments are objects.

    Parts are joined by newlines. *image_marker* stands for an image.

    Raises:
        InvalidRequest: arguments are no JSON object, or there is an image and no marker for it.
    """
    turns = []
    for number, message in enumerate(messages):
        content = message.get("content")
        if isinstance(content, list):
            content = "\n".join(_part(part, number, image_marker) for part in content)
        turn = message | {"content": content or ""}
        turn.pop("tool_calls", None)
        if message.get("tool_calls"):
            turn["tool_calls"] = [_call(call, number) for call in message["tool_calls"]]
        turns.append(turn)
    return turns


def _part(part: dict[str, Any], number: int, image_marker: str | None) -> str:
    if part.get("type") == "text":
        return str(part["text"])
    if image_marker is None:
        raise InvalidRequest(
            f"messages.{number}.content has an image, and this model takes text only",
            param=f"messages.{number}.content",
        )
    return image_marker


def _call(call: dict[str, Any], number: int) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments")
    if not isinstance(arguments, dict):
        arguments = _parsed(arguments or "{}", number)
    return call | {"type": "function", "function": function | {"arguments": arguments}}


def _parsed(arguments: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(arguments, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        param = f"messages.{number}.tool_calls"
        raise InvalidRequest(f"{param}: the arguments of a call must be a JSON object, as text", param=param)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def one_call_each(turns: Sequence[Turn]) -> list[Turn]:
    """Return *turns* for templates that know one call a turn: a turn of several becomes several turns.

    Each is followed by the result of its call.
    """
    split: list[Turn] = []
    waiting: list[Turn] = []  # turns whose call has no result yet
    for turn in turns:
        calls = turn.get("tool_calls", ())
        if turn["role"] == "tool" and waiting:
            answered = next(
                (other for other in waiting if _id(other) == turn.get("tool_call_id")), waiting[0]
            )
            waiting.remove(answered)
            split += (answered, turn)
            continue
        split += waiting
        waiting = [
            turn | {"tool_calls": [call], "content": "" if number else turn["content"]}
            for number, call in enumerate(calls)
        ]
        if not calls:
            split.append(turn)
    return split + waiting


def _id(turn: Turn) -> str | None:
    identity: str | None = turn["tool_calls"][0].get("id")
    return identity


def short_ids(turns: Sequence[Turn]) -> list[Turn]:
    """Return *turns* for templates that insist on call ids of nine letters and digits."""
    changed = []
    for turn in turns:
        turn = dict(turn)
        if "tool_call_id" in turn:
            turn["tool_call_id"] = _short(turn["tool_call_id"])
        if "tool_calls" in turn:
            turn["tool_calls"] = [call | {"id": _short(call.get("id"))} for call in turn["tool_calls"]]
        changed.append(turn)
    return changed


def _short(identity: str | None) -> str:
    if identity is not None and len(identity) == _SHORT_ID and identity.isascii() and identity.isalnum():
        return identity
    number = int.from_bytes(hashlib.sha256((identity or "").encode()).digest())
    return "".join(_ID_CHARACTERS[number // 62**place % 62] for place in range(_SHORT_ID))


# For templates that know of no functions


def written_out(turns: Sequence[Turn]) -> list[Turn]:
    """Return *turns* with calls and results as text: a result is something that the user says."""
    return list(_written_out(turns))


def _written_out(turns: Sequence[Turn]) -> Iterator[Turn]:
    said: list[str] = []  # what the user's next turn begins with
    for turn in turns:
        if turn["role"] == "tool":
            said.append(f"<tool_response>\n{turn['content']}\n</tool_response>")
            continue
        if turn["role"] == "user":
            yield turn | {"content": "\n".join([*said, turn["content"]])}
            said = []
            continue
        if said:
            yield {"role": "user", "content": "\n".join(said)}
            said = []
        calls = [_written_call(call["function"]) for call in turn.get("tool_calls", ())]
        text = [turn["content"]] if turn["content"] else []
        yield {key: value for key, value in turn.items() if key != "tool_calls"} | {
            "content": "\n".join([*text, *calls]) if calls else turn["content"]
        }
    if said:
        yield {"role": "user", "content": "\n".join(said)}


def _written_call(function: dict[str, Any]) -> str:
    call = {"name": function["name"], "arguments": function["arguments"]}
    return f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"


def introduced(turns: Sequence[Turn], tools: Sequence[dict[str, Any]], *, role: str) -> list[Turn]:
    """Return *turns* with a description of *tools*, and of how to call them, in the first turn of *role*.

    It comes after what a system turn says and before what a user's says. Without such a turn there will be
    one in front.
    """
    text = _introduction(tools)
    for number, turn in enumerate(turns):
        if turn["role"] == role and (number == 0 or role == "user"):
            said = [turn["content"], text] if role == "system" else [text, turn["content"]]
            return [
                *turns[:number],
                turn | {"content": "\n\n".join(filter(None, said))},
                *turns[number + 1 :],
            ]
    return [{"role": role, "content": text}, *turns]


def _introduction(tools: Sequence[dict[str, Any]]) -> str:
    described = "\n".join(json.dumps(offered(tool), ensure_ascii=False) for tool in tools)
    return (
        "You can call functions. These are the ones there are, each with the JSON schema of its arguments:\n"
        f"<tools>\n{described}\n</tools>\n"
        "To call a function, write its name and its arguments as JSON between <tool_call> tags:\n"
        '<tool_call>\n{"name": "the function", "arguments": {"argument": "value"}}\n</tool_call>\n'
        "Write one such block for each call. The results come back between <tool_response> tags."
    )


def offered(tool: dict[str, Any]) -> dict[str, Any]:
    """Return *tool* as OpenAI's API lists it, with every field that templates ask for."""
    parameters = tool.get("parameters") or {"type": "object", "properties": {}}
    function = {"name": tool["name"], "description": tool.get("description") or "", "parameters": parameters}
    return {"type": "function", "function": function}
