import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.edge.api.sse import events

URL = "/v1/chat/completions"
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 0},
}


def ask(client: TestClient, text: str = "hello there", **fields: Any) -> Any:
    body = {"model": "qwen-3.5-27b", "messages": [{"role": "user", "content": text}]} | fields
    return client.post(URL, json=body)


def test_an_answer_has_every_field_of_the_contract(client: TestClient) -> None:
    response = ask(client)
    assert response.status_code == 200
    body = response.json()
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert isinstance(body["created"], int)
    assert body["model"] == "smollm2-135m-instruct"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello there"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == USAGE
    assert body["routing"] == {"path": "local", "provider": "yto-01"}
    metadata = body["pg_metadata"]
    assert metadata["region"] == "yto-01"
    assert all(isinstance(metadata[name], int) for name in metadata if name.endswith("_ms"))
    assert (metadata["queue_time_ms"], metadata["inference_time_ms"]) == (2, 11)
    assert response.headers["X-Provocapi-Model"] == "smollm2-135m-instruct"
    assert response.headers["X-Provocapi-Worker"] == "yto-01"
    assert response.headers["X-Provocapi-Queue-Ms"] == "2"


def test_a_stream_says_the_same_in_pieces(client: TestClient) -> None:
    response = ask(client, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response.text)
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert not any("error" in chunk for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "hello there"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    last = chunks[-1]
    assert last["choices"][0]["delta"] == {}
    assert last["usage"] == USAGE
    assert last["pg_metadata"]["region"] == "yto-01"
    assert not any("usage" in chunk for chunk in chunks[:-1])


def test_include_usage_adds_a_chunk_without_choices(client: TestClient) -> None:
    chunks = events(ask(client, stream=True, stream_options={"include_usage": True}).text)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 5


def test_n_choices_share_a_prompt(client: TestClient) -> None:
    body = ask(client, n=3).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (3, 6)
    chunks = events(ask(client, n=3, stream=True).text)
    ends = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"]]
    assert sorted(ends) == [0, 1, 2]
    assert sum("usage" in chunk for chunk in chunks) == 1


def test_parts_and_roles_become_plain_turns(client: TestClient) -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
        {"role": "assistant"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    ]
    assert ask(client, messages=messages).json()["choices"][0]["message"]["content"] == "one\ntwo"


def test_explicit_nulls_are_as_good_as_absent(client: TestClient) -> None:
    nulls: dict[str, Any] = dict.fromkeys(
        ["max_tokens", "temperature", "stop", "user", "n", "stream", "tools", "seed"]
    )
    assert ask(client, **nulls).status_code == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "system", "content": None}]}, "messages.0"),
        ({"messages": [{"role": "tool", "tool_call_id": "1"}]}, "messages.0"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"model": ""}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4097}, "max_tokens"),
        ({"max_tokens": "12"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"min_p": 1.1}, "min_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": 1e-40}, "repetition_penalty"),
        (
            {
                "response_format": {"type": "json_object"},
                "tools": [{"type": "function", "function": {"name": "look"}}],
            },
            "response_format",
        ),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [""]}, "stop.0"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"maximum": 10**30}}}},
            "response_format.json_schema.schema",
        ),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"top_logprobs": 3, "logprobs": False}, "top_logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"logit_bias": {"-1": 5}}, "logit_bias"),
        ({"logit_bias": {"the": 5}}, "logit_bias"),
        ({"logit_bias": {"\u0664": 5}}, "logit_bias"),
        ({"logit_bias": {str(2**31): 5}}, "logit_bias"),
        ({"logit_bias": {"1": 100.5}}, "logit_bias"),
        ({"logit_bias": {"1": True}}, "logit_bias"),
        ({"logit_bias": {"1": "5"}}, "logit_bias"),
        ({"logit_bias": {str(token): 1 for token in range(1025)}}, "logit_bias"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"model": "all-minilm-l6-v2"}, "model"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b"}}]}
                ]
            },
            "messages.0.content.0",
        ),
    ],
)
def test_a_bad_field_is_named(client: TestClient, fields: dict[str, Any], param: str) -> None:
    response = ask(client, **fields)
    assert response.status_code == 400
    body = response.json()
    assert body["error"]["param"] == param
    assert body["detail"] == body["error"]["message"]
    assert param.split(".")[0] in body["detail"] or "model" in body["detail"]


def test_harmless_forms_of_fields_are_accepted(client: TestClient) -> None:
    fields: dict[str, Any] = {
        "tools": [],
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "modalities": ["text"],
        "stream_options": {"include_usage": False, "include_obfuscation": True},
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "auto",
    }
    assert ask(client, logprobs=False, logit_bias={}, **fields).status_code == 200


def order(client: TestClient, **fields: Any) -> Any:
    """Return the worker's order that a chat with *fields* becomes."""
    response = ask(client, "order", **fields)
    assert response.status_code == 200, response.text
    return json.loads(response.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("fields", "ordered"),
    [
        ({}, {"temperature": 1.0, "top_p": 1.0, "max_tokens": None, "logprobs": None, "json_schema": None}),
        ({"temperature": 0, "top_p": 0}, {"temperature": 0, "top_p": 0}),
        ({"max_tokens": 9, "max_completion_tokens": 2}, {"max_tokens": 2}),
        ({"logit_bias": {"5": -100, "17": 2.5}}, {"logit_bias": [[5, -100], [17, 2.5]]}),
        ({"logprobs": True}, {"logprobs": 0}),
        ({"top_logprobs": 0}, {"logprobs": None}),
        ({"top_logprobs": 0, "logprobs": False}, {"logprobs": None}),
        ({"logprobs": True, "top_logprobs": 20}, {"logprobs": 20}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"enable_thinking": True}, {"enable_thinking": True}),
        ({"response_format": {"type": "json_object"}}, {"json_schema": {"type": "object"}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}},
            {"json_schema": {"type": "array"}},
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, {"json_schema": {}}),
    ],
)
def test_what_is_asked_is_ordered(
    client: TestClient, fields: dict[str, Any], ordered: dict[str, Any]
) -> None:
    made = order(client, **fields)
    assert {name: made[name] for name in ordered} == ordered


def test_orders_of_one_key_name_the_same_caller(client: TestClient) -> None:
    assert order(client)["caller"] == order(client)["caller"] != ""


def test_cached_tokens_of_a_shared_prompt_count_once(client: TestClient) -> None:
    usage = ask(client, "order", n=3).json()["usage"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2}


EURO = [
    {"token": "\ufffd", "logprob": -0.5, "bytes": [0xE2]},
    {"token": "\ufffd\ufffd", "logprob": -0.5, "bytes": [0x82, 0xAC]},
    {"token": "!", "logprob": -0.5, "bytes": [0x21]},
]
FIRST = {"token": "<0>", "logprob": -1.0, "bytes": list(b"<0>")}


@pytest.mark.parametrize(("top", "likeliest"), [(None, []), (0, []), (1, [FIRST])])
def test_logprobs_have_the_exact_bytes(client: TestClient, top: int | None, likeliest: list[Any]) -> None:
    choice = ask(client, "torn", logprobs=True, top_logprobs=top).json()["choices"][0]
    expected = [token | {"top_logprobs": likeliest} for token in EURO]
    assert choice["logprobs"] == {"content": expected, "refusal": None}


def test_a_stream_tells_the_logprobs_of_each_chunks_own_tokens(client: TestClient) -> None:
    chunks = events(ask(client, "torn", stream=True, logprobs=True).text)
    told = [
        (choice["delta"]["content"], [token["bytes"] for token in choice["logprobs"]["content"]])
        for chunk in chunks
        for choice in chunk["choices"]
        if "logprobs" in choice
    ]
    assert told == [("", [[0xE2]]), ("\u20ac", [[0x82, 0xAC]]), ("!", [[0x21]])]


def test_a_token_without_text_makes_no_chunk(client: TestClient) -> None:
    chunks = events(ask(client, "torn", stream=True).text)
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", "\u20ac", "!", None]


def test_an_unknown_model_is_not_found(client: TestClient) -> None:
    response = ask(client, model="nope")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_engine_refuses_has_its_own_status(client: TestClient, stream: bool) -> None:
    response = ask(client, "refuse messages", stream=stream)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages"


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_fails_is_a_bad_gateway(client: TestClient, stream: bool) -> None:
    response = ask(client, "fail", stream=stream)
    assert response.status_code == 502
    assert "secret" not in response.text


def test_a_failure_in_mid_stream_is_an_error_event(client: TestClient) -> None:
    response = ask(client, "half a break", stream=True)
    assert response.status_code == 200
    *chunks, last = events(response.text)
    assert chunks
    assert last["error"]["type"] == "server_error"
    assert isinstance(last["error"]["message"], str)
    assert "secret" not in response.text
