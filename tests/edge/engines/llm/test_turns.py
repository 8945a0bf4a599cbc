from typing import Any

import pytest

from edge.engines.base import InvalidRequest
from edge.engines.llm import turns


def call(name: str, arguments: Any, identity: str = "call_1") -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_content_becomes_text_and_arguments_become_objects() -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image", "data": b"\x89PNG"},
        {"type": "text", "text": "?"},
    ]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": parts},
        {"role": "assistant", "tool_calls": [call("f", '{"a": [1, "é"]}'), call("g", "")]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": "Yes", "tool_calls": None},
    ]
    assert turns.plain(messages, image_marker="<image>") == [
        {"role": "user", "content": "What is\n<image>\n?"},
        {"role": "assistant", "content": "", "tool_calls": [call("f", {"a": [1, "é"]}), call("g", {})]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "Yes"},
    ]
    assert messages[1]["tool_calls"] == [call("f", '{"a": [1, "é"]}'), call("g", "")]


@pytest.mark.parametrize(
    "arguments", ["{", "[]", "3", "null", '{"a": NaN}', "[" * 100_000, '{"a": ' * 50_000]
)
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    calling = {"role": "assistant", "tool_calls": [call("f", arguments)]}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "x"}, calling]
    with pytest.raises(InvalidRequest, match="must be a JSON object") as caught:
        turns.plain(messages, image_marker=None)
    assert caught.value.param == "messages.1.tool_calls"


def test_an_image_needs_a_model_that_sees() -> None:
    with pytest.raises(InvalidRequest, match="text only") as caught:
        turns.plain([{"role": "user", "content": [{"type": "image", "data": b""}]}], image_marker=None)
    assert caught.value.param == "messages.0.content"


def test_several_calls_become_several_turns_each_with_its_result() -> None:
    first, second, third = call("f", {}, "1"), call("g", {}, "2"), call("h", {}, "3")
    results = [{"role": "tool", "content": name, "tool_call_id": name} for name in "231"]
    asked = {"role": "user", "content": "go"}
    chat: list[dict[str, Any]] = [
        asked,
        {"role": "assistant", "content": "Well", "tool_calls": [first, second, third]},
        *results,
        asked,
    ]
    assert turns.one_call_each(chat) == [
        asked,
        {"role": "assistant", "content": "", "tool_calls": [second]},
        results[0],
        {"role": "assistant", "content": "", "tool_calls": [third]},
        results[1],
        {"role": "assistant", "content": "Well", "tool_calls": [first]},
        results[2],
        asked,
    ]


def test_calls_without_results_and_results_without_calls_are_kept() -> None:
    result = {"role": "tool", "content": "x", "tool_call_id": "9"}
    calling: dict[str, Any] = {
        "role": "assistant",
        "content": "",
        "tool_calls": [call("f", {}), call("g", {}, "call_2")],
    }
    split = [calling | {"tool_calls": [each]} for each in calling["tool_calls"]]
    assert turns.one_call_each([result, calling]) == [result, *split]
    assert turns.one_call_each([calling, result]) == [split[0], result, split[1]]


def test_ids_can_be_nine_characters_and_still_belong_together() -> None:
    chat: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [call("f", {}, "call_abcdefgh"), call("f", {}, "abcdef012")],
        },
        {"role": "tool", "content": "", "tool_call_id": "call_abcdefgh"},
    ]
    calling, result = turns.short_ids(chat)
    [first, second] = [each["id"] for each in calling["tool_calls"]]
    assert len(first) == 9
    assert first.isalnum()
    assert second == "abcdef012"
    assert result["tool_call_id"] == first
    assert chat[1]["tool_call_id"] == "call_abcdefgh"


def test_calls_and_results_can_be_written_out() -> None:
    chat: list[dict[str, Any]] = [
        {"role": "user", "content": "Ulm?"},
        {"role": "assistant", "content": "Wait.", "tool_calls": [call("f", {"a": "é"}), call("g", {})]},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "3"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "", "tool_calls": [call("g", {})]},
        {"role": "tool", "content": "4"},
    ]
    assert turns.written_out(chat) == [
        {"role": "user", "content": "Ulm?"},
        {
            "role": "assistant",
            "content": 'Wait.\n<tool_call>\n{"name": "f", "arguments": {"a": "é"}}\n</tool_call>\n'
            '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>',
        },
        {
            "role": "user",
            "content": "<tool_response>\nrain\n</tool_response>\n<tool_response>\n3\n</tool_response>\nAnd?",
        },
        {"role": "assistant", "content": '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>'},
        {"role": "user", "content": "<tool_response>\n4\n</tool_response>"},
    ]


def test_tools_are_introduced_in_a_system_turn_or_in_the_first_users() -> None:
    user = {"role": "user", "content": "Hi"}
    [own, same] = turns.introduced([user], [{"name": "f"}], role="system")
    assert same == user
    assert own["role"] == "system"
    assert (
        '{"type": "function", "function": {"name": "f", "description": "", "parameters": ' in own["content"]
    )
    [joined, same] = turns.introduced(
        [{"role": "system", "content": "Be brief."}, user], [{"name": "f"}], role="system"
    )
    assert joined == {"role": "system", "content": "Be brief.\n\n" + own["content"]}
    [said] = turns.introduced([user], [{"name": "f"}], role="user")
    assert said == {"role": "user", "content": own["content"] + "\n\nHi"}
