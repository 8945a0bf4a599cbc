"""Whatever a body holds, it is answered with 200 or with a 400 that says what to change."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.edge.api.sse import events

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(["f", "g", "h i", "", "x" * 65])
functions = st.fixed_dictionaries(
    {"name": names},
    optional={
        "description": json_values,
        "parameters": st.sampled_from([{}, {"type": "object"}, {"type": "array"}, {"maximum": 2**70}])
        | json_values,
        "strict": json_values,
    },
)
calls = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b"]),
        "function": st.fixed_dictionaries({"name": names, "arguments": st.just("{}")}),
    }
)
parts = st.sampled_from(
    [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}},
        {"type": "input_audio"},
    ]
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "king"]),
        "content": st.sampled_from(["hello", "call f g", "torn", "order", "vary"])
        | st.lists(parts, max_size=3)
        | json_values,
    },
    optional={
        "name": json_values,
        "tool_calls": st.lists(calls, max_size=2) | json_values,
        "tool_call_id": st.sampled_from(["a", "c"]) | json_values,
        "function_call": st.just({"name": "f", "arguments": "{}"}) | json_values,
    },
)
schemas = st.sampled_from([{}, {"type": "object"}, {"minimum": 10**30}, True]) | json_values
shared: dict[str, Any] = {
    "stream": st.booleans() | json_values,
    "stream_options": st.just({"include_usage": True}) | json_values,
    "n": st.integers(0, 4) | json_values,
    "max_tokens": st.integers(0, 4097) | json_values,
    "max_completion_tokens": st.integers(0, 9) | json_values,
    "temperature": st.floats(-1, 3) | json_values,
    "top_p": st.floats(-1, 2) | json_values,
    "top_k": json_values,
    "min_p": json_values,
    "seed": json_values,
    "stop": st.lists(st.sampled_from(["", "a", "b"]), max_size=5) | json_values,
    "logit_bias": st.dictionaries(st.sampled_from(["1", "x", "-1", "99999999999"]), st.integers(-101, 101))
    | json_values,
    "user": json_values,
    "metadata": json_values,
}
chats = st.fixed_dictionaries(
    {"model": st.just("smollm2"), "messages": st.lists(messages, min_size=1, max_size=3) | json_values},
    optional=shared
    | {
        "logprobs": st.booleans() | json_values,
        "top_logprobs": st.integers(-1, 21) | json_values,
        "tools": st.lists(st.fixed_dictionaries({"function": functions}), max_size=3) | json_values,
        "tool_choice": st.sampled_from(["none", "auto", "required", {"function": {"name": "f"}}])
        | json_values,
        "parallel_tool_calls": json_values,
        "functions": st.lists(functions, max_size=3) | json_values,
        "function_call": st.sampled_from(["none", "auto", {"name": "f"}]) | json_values,
        "response_format": st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "json_object", "json_schema", "xml"])},
            optional={"json_schema": st.fixed_dictionaries({}, optional={"schema": schemas})},
        )
        | json_values,
        "modalities": json_values,
        "enable_thinking": json_values,
    },
)
completions = st.fixed_dictionaries(
    {
        "model": st.just("smollm2"),
        "prompt": st.sampled_from(["hello", "torn", ["a", "vary"], [1, 2]]) | json_values,
    },
    optional=shared
    | {
        "logprobs": st.integers(-1, 21) | json_values,
        "echo": st.booleans() | json_values,
        "suffix": json_values,
        "best_of": st.integers(0, 4) | json_values,
    },
)
# The client's session outlives every example.
checked = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(client: TestClient, path: str, body: dict[str, Any]) -> None:
    response = client.post(path, json=body)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        error = response.json()
        assert error["detail"] == error["error"]["message"] != ""
        assert len(response.content) < 4000
    elif response.headers["content-type"].startswith("text/event-stream"):
        assert not any("error" in chunk for chunk in events(response.text))
    else:
        assert response.json()["choices"]


@checked
@given(chats)
def test_chats(client: TestClient, body: dict[str, Any]) -> None:
    check(client, "/v1/chat/completions", body)


@checked
@given(completions)
def test_completions(client: TestClient, body: dict[str, Any]) -> None:
    check(client, "/v1/completions", body)
