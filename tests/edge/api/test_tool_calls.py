import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.edge.api.sse import events
from tests.edge.api.test_chat import ask

WEATHER = {
    "name": "get_weather",
    "description": "Tell the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK = {"name": "clock", "parameters": {}}
TOOLS = [{"type": "function", "function": WEATHER}, {"type": "function", "function": CLOCK}]
ARGUMENTS = '{"city": "Toronto"}'


def order(client: TestClient, **fields: Any) -> Any:
    response = ask(client, "order", **fields)
    assert response.status_code == 200, response.text
    made = json.loads(response.json()["choices"][0]["message"]["content"])
    names = ("tools", "tool_choice", "tool_name", "parallel_tool_calls")
    return tuple(made[name] for name in names)


DESCRIBED = [WEATHER, {"name": "clock"}]


@pytest.mark.parametrize(
    ("fields", "choice", "name", "parallel"),
    [
        ({"tools": TOOLS}, "auto", None, True),
        ({"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": False}, "auto", None, False),
        ({"tools": TOOLS, "tool_choice": "none"}, "none", None, True),
        ({"tools": TOOLS, "tool_choice": "required"}, "required", None, True),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "clock"}}},
            *("required", "clock", True),
        ),
        ({"functions": [WEATHER, CLOCK]}, "auto", None, False),
        ({"functions": [WEATHER, CLOCK], "function_call": "none"}, "none", None, False),
        ({"functions": [WEATHER, CLOCK], "function_call": {"name": "clock"}}, "required", "clock", False),
    ],
)
def test_what_may_be_called_is_ordered(
    client: TestClient, fields: dict[str, Any], choice: str, name: str | None, parallel: bool
) -> None:
    assert order(client, **fields) == (DESCRIBED, choice, name, parallel)


def test_arguments_are_always_an_object(client: TestClient) -> None:
    tools, *_ = order(client, functions=[{"name": "f", "parameters": {"required": ["a"]}}])
    assert tools == [{"name": "f", "parameters": {"type": "object", "required": ["a"]}}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": "all"}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "web", "function": CLOCK}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "function": {"name": "get weather"}}]}, "tools.0.function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f" * 65}}]}, "tools.0.function.name"),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"type": "string"}}}]},
            "tools.0.function.parameters",
        ),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"maximum": 2**64}}}]},
            "tools.0.function.parameters",
        ),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"enum": [0] * 20_000}}}]},
            "tools.0.function.parameters",
        ),
        ({"tools": [*TOOLS, {"function": CLOCK}]}, "tools.2"),
        ({"tools": [{"function": {"name": f"f{n}"}} for n in range(129)]}, "tools"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": 5}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"function": {"name": "other"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"function": {"name": "clock"}}}, "tool_choice"),
        ({"tools": TOOLS, "functions": [CLOCK]}, "functions"),
        ({"functions": [{"name": ""}]}, "functions.0.name"),
        ({"functions": [CLOCK, CLOCK]}, "functions.1"),
        ({"functions": [CLOCK], "function_call": "required"}, "function_call"),
        ({"functions": [CLOCK], "function_call": {"name": "other"}}, "function_call"),
        ({"function_call": {"name": "clock"}}, "function_call"),
        (
            {"tools": TOOLS, "tool_choice": "required", "response_format": {"type": "json_object"}},
            "response_format",
        ),
    ],
)
def test_a_bad_field_is_named(client: TestClient, fields: dict[str, Any], param: str) -> None:
    response = ask(client, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert param in response.json()["detail"] or param.split(".")[0] in response.json()["detail"]
    assert len(response.content) < 2000


def test_calls_are_answered_as_openai_does(client: TestClient) -> None:
    choice = ask(client, "call get_weather clock", tools=TOOLS).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ARGUMENTS}}
            for index, name in enumerate(("get_weather", "clock"))
        ],
    }


def test_calls_are_streamed_as_openai_does(client: TestClient) -> None:
    chunks = events(ask(client, "call get_weather clock", tools=TOOLS, stream=True).text)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"]["role"] == "assistant"
    assert [choice["finish_reason"] for choice in choices] == [None] * 7 + ["tool_calls"]
    assert all(choice["delta"].keys() == {"tool_calls"} for choice in choices[1:-1])
    deltas = [call for choice in choices[1:-1] for call in choice["delta"]["tool_calls"]]
    for index, name in enumerate(("get_weather", "clock")):
        first, *rest = [delta for delta in deltas if delta["index"] == index]
        assert first == {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        assert all(delta.keys() == {"index", "function"} for delta in rest)
        assert all(delta["function"].keys() == {"arguments"} for delta in rest)
        assert "".join(delta["function"]["arguments"] for delta in rest) == ARGUMENTS


def test_functions_are_answered_in_both_forms(client: TestClient) -> None:
    choice = ask(client, "call clock", functions=[CLOCK]).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["function_call"] == {"name": "clock", "arguments": ARGUMENTS}
    assert choice["message"]["tool_calls"][0]["function"] == choice["message"]["function_call"]
    chunks = events(ask(client, "call clock", functions=[CLOCK], stream=True).text)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls = [delta["function_call"] for delta in deltas if "function_call" in delta]
    assert calls[0] == {"name": "clock", "arguments": ""}
    assert "".join(call["arguments"] for call in calls) == ARGUMENTS
    assert all("tool_calls" in delta for delta in deltas if "function_call" in delta)
