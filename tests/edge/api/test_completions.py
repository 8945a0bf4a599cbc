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
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
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
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 1}, "logprobs"),
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
