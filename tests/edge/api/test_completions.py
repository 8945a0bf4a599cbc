import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from edge.api.generation import refuse_too_many
from edge.errors import InvalidField
from tests.edge.api.sse import events


def complete(client: TestClient, url: str = "/v1/completions", **fields: Any) -> Any:
    return client.post(url, json={"model": "gpt-3.5-turbo-instruct", "prompt": "a b"} | fields)


def test_an_answer_has_every_field_of_the_contract(client: TestClient) -> None:
    body = complete(client, stop=None, user=None).json()
    assert body["object"] == "text_completion"
    assert body["choices"] == [{"text": "a b", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert body["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert body["routing"]["path"] == "local"


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("a", ["a"]),
        (["a", "b c"], ["a", "b c"]),
        ([1, 2, 3], ["tokens"]),
        ([[1, 2], [3]], ["tokens", "tokens"]),
    ],
)
def test_every_form_of_prompt_is_taken(client: TestClient, prompt: Any, texts: list[str]) -> None:
    choices = complete(client, prompt=prompt).json()["choices"]
    assert [choice["text"] for choice in choices] == texts
    assert [choice["index"] for choice in choices] == list(range(len(texts)))


def test_choices_of_one_prompt_count_its_tokens_once(client: TestClient) -> None:
    body = complete(client, prompt=["a", "b"], n=2).json()
    assert [choice["text"] for choice in body["choices"]] == ["a", "a", "b", "b"]
    assert body["usage"]["prompt_tokens"] == 6


@pytest.mark.parametrize(
    ("url", "fields"), [("/v1/completions", {"stream": True}), ("/v1/completions/stream", {})]
)
def test_streams(client: TestClient, url: str, fields: dict[str, Any]) -> None:
    chunks = events(complete(client, url, **fields).text)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "a b"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert chunks[-1]["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": ["a"] * 5, "n": 13}, "n"),
        ({"prompt": ["a"] * 5, "n": 13, "stream": True}, "n"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"echo": "yes"}, "echo"),
        ({"suffix": 5}, "suffix"),
        ({"best_of": 0}, "best_of"),
        ({"best_of": 17}, "best_of"),
        ({"best_of": 2, "n": 3}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"best_of": 13, "prompt": ["a"] * 5}, "best_of"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": -1}, "logprobs"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 0, "logprobs": 1, "echo": False, "stream": True}, "max_tokens"),
        ({"max_tokens": -1, "echo": True}, "max_tokens"),
        ({"max_tokens": 4097, "echo": True}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": 0, "max_tokens": 5}, "max_completion_tokens"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, fields: dict[str, Any], param: str) -> None:
    response = complete(client, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"].split(".")[0] == param
    assert param in response.json()["detail"]


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 100))
def test_what_a_queue_can_never_hold_is_refused(prompts: int, per_prompt: int, queue_limit: int) -> None:
    if prompts * per_prompt <= queue_limit:
        refuse_too_many(prompts, per_prompt, queue_limit)
        return
    with pytest.raises(InvalidField) as refused:
        refuse_too_many(prompts, per_prompt, queue_limit)
    assert refused.value.param == ("prompt" if prompts > queue_limit else "n")


@pytest.mark.parametrize(
    ("fields", "ordered"),
    [
        ({}, {"echo": False, "suffix": None, "logprobs": None, "messages": None, "prompt": "order"}),
        ({"echo": True, "suffix": "end"}, {"echo": True, "suffix": "end"}),
        ({"suffix": ""}, {"suffix": None}),
        ({"logprobs": 0}, {"logprobs": 0}),
        ({"logprobs": 20}, {"logprobs": 20}),
        ({"best_of": 1}, {"logprobs": None}),
        ({"best_of": 2, "seed": 7}, {"logprobs": 0}),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 0, "echo": True}, {"max_tokens": 0, "echo": True}),
        ({"max_tokens": 5, "max_completion_tokens": 0, "echo": True}, {"max_tokens": 0}),
        ({"max_tokens": 0, "max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"seed": 7}, {"seed": 7}),
    ],
)
def test_what_is_asked_is_ordered(
    client: TestClient, fields: dict[str, Any], ordered: dict[str, Any]
) -> None:
    made = json.loads(complete(client, prompt="order", **fields).json()["choices"][0]["text"])
    assert {name: made[name] for name in ordered} == ordered


@pytest.mark.parametrize(("asked", "top"), [(0, {}), (1, {"<0>": -1.0}), (2, {"<0>": -1.0, "<1>": -2.0})])
def test_logprobs_have_an_element_for_each_token(
    client: TestClient, asked: int, top: dict[str, float]
) -> None:
    choice = complete(client, prompt="torn", logprobs=asked).json()["choices"][0]
    tokens = ["bytes:\\xe2", "bytes:\\x82\\xac", "!"]
    assert choice["text"] == "\u20ac!"
    assert choice["logprobs"] == {
        "tokens": tokens,
        "token_logprobs": [-0.5] * 3,
        "top_logprobs": [top | {token: -0.5} for token in tokens],
        "text_offset": [0, 0, 1],
    }


def test_a_stream_tells_the_logprobs_of_each_chunks_own_tokens(client: TestClient) -> None:
    chunks = events(complete(client, prompt="a b c", stream=True, logprobs=1).text)
    told = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert told.pop() is None
    assert [logprobs["tokens"] for logprobs in told] == [["a"], [" b"], [" c"]]
    assert [logprobs["text_offset"] for logprobs in told] == [[0], [1], [3]]


def test_the_best_choices_are_those_of_the_likeliest_tokens(client: TestClient) -> None:
    body = complete(client, prompt="vary", n=2, best_of=4, seed=0).json()
    assert [choice["text"] for choice in body["choices"]] == ["seed 2", "seed 1"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert all(choice["logprobs"] is None for choice in body["choices"])
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (3, 4)


def test_choices_that_are_all_told_keep_their_order(client: TestClient) -> None:
    body = complete(client, prompt="vary", n=3, best_of=3, seed=0).json()
    assert [choice["text"] for choice in body["choices"]] == ["seed 0", "seed 1", "seed 2"]
