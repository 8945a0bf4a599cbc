from typing import Any

import pytest

from edge.api.requests import Message
from edge.api.turns import turns
from edge.errors import InvalidField

CALL = {"id": "a1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def made(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return turns([Message.model_validate(message) for message in messages], {})


def test_only_what_is_set_is_told() -> None:
    assert made(
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "a1", "content": "42", "name": "f"},
    ) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "42", "name": "f", "tool_call_id": "a1"},
    ]


def test_a_refusal_is_what_was_said() -> None:
    parts = [{"type": "text", "text": "No."}, {"type": "refusal", "refusal": "I will not."}]
    assert made({"role": "assistant", "content": parts}) == [
        {"role": "assistant", "content": "No.\nI will not."}
    ]


def test_the_older_form_becomes_the_newer() -> None:
    function = {"name": "f", "arguments": "{}"}
    assert made(
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "function_call": function},
        {"role": "function", "name": "f", "content": None},
    )[1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "", "name": "f", "tool_call_id": "call_1"},
    ]


def test_a_turn_that_answers_no_call_before_it_is_refused() -> None:
    with pytest.raises(InvalidField) as refused:
        made(
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "b2", "content": "42"},
        )
    assert refused.value.param == "messages.1.tool_call_id"


def test_a_shortened_chat_is_taken() -> None:
    assert made({"role": "tool", "tool_call_id": "gone", "content": "42"})[0]["tool_call_id"] == "gone"
    assert "tool_call_id" not in made({"role": "tool", "content": "42"})[0]


def test_images_stay_in_their_places() -> None:
    parts = [
        {"type": "text", "text": "what is"},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "text", "text": "this?"},
    ]
    message = Message.model_validate({"role": "user", "content": parts})
    assert turns([message], {(0, 1): b"\x89PNG"}) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is"},
                {"type": "image", "data": b"\x89PNG"},
                {"type": "text", "text": "this?"},
            ],
        }
    ]
