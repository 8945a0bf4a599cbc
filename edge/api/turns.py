"""The turns of a chat, from the forms that clients send to the one that chat templates want."""

from collections.abc import Mapping, Sequence
from typing import Any

from edge.api.requests import ImagePart, Message
from edge.errors import InvalidField

_ROLES = {"developer": "system", "function": "tool"}

Images = Mapping[tuple[int, int], bytes]
"""The bytes of each image, by the numbers of its message and its part."""


def turns(messages: Sequence[Message], images: Images) -> list[dict[str, Any]]:
    """Return *messages* as plain dicts with only the keys that are set.

    ``content`` is text, or a list of parts where there are *images*. A turn of OpenAI's older form,
    ``function_call`` and the role ``function``, becomes ``tool_calls`` and the role ``tool``.

    Raises:
        InvalidField: a tool's turn answers a call that no turn before it made.
    """
    made: list[dict[str, Any]] = []
    call_ids: dict[str, None] = {}
    for number, message in enumerate(messages):
        turn: dict[str, Any] = {
            "role": _ROLES.get(message.role, message.role),
            "content": _parts(number, message, images) if message.images else message.text,
        }
        if message.name is not None:
            turn["name"] = message.name
        if calls := _calls(number, message):
            turn["tool_calls"] = calls
            call_ids |= dict.fromkeys(call["id"] for call in calls)
        if (answered := _answered(number, message, call_ids)) is not None:
            turn["tool_call_id"] = answered
        made.append(turn)
    return made


def _parts(number: int, message: Message, images: Images) -> list[dict[str, Any]]:
    assert isinstance(message.content, list)
    return [
        {"type": "image", "data": images[number, place]}
        if isinstance(part, ImagePart)
        else {"type": "text", "text": part.text}
        for place, part in enumerate(message.content)
    ]


def _calls(number: int, message: Message) -> list[dict[str, Any]]:
    if message.tool_calls:
        return [call.model_dump() for call in message.tool_calls]
    if message.function_call is None:
        return []
    # An id of its own that is the same whenever the same chat is sent again.
    function = message.function_call.model_dump()
    return [{"id": f"call_{number}", "type": "function", "function": function}]


def _answered(number: int, message: Message, call_ids: dict[str, None]) -> str | None:
    """Return the id of the call that *message* answers.

    Clients shorten long chats: a turn before which there is no call at all is taken.
    """
    if message.role == "function":
        return message.tool_call_id or next(reversed(call_ids), None)
    if message.role == "tool" and message.tool_call_id and call_ids and message.tool_call_id not in call_ids:
        raise InvalidField(
            f"messages.{number}.tool_call_id: no call before it has this id",
            param=f"messages.{number}.tool_call_id",
        )
    return message.tool_call_id
