"""The published clients read every form of answer into their own types."""

from typing import Any

import polargrid.types
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from starlette.testclient import TestClient

from tests.edge.api.sse import events
from tests.edge.api.test_chat import ask
from tests.edge.api.test_completions import complete

TOOLS = [{"type": "function", "function": {"name": "clock"}}]

CHATS: list[tuple[str, dict[str, Any]]] = [
    ("hello there", {}),
    ("hello there", {"n": 2, "stream_options": {"include_usage": True}}),
    ("torn", {"logprobs": True, "top_logprobs": 2}),
    ("call clock other", {"tools": TOOLS}),
    ("call clock", {"functions": [{"name": "clock"}]}),
]
COMPLETIONS: list[tuple[str, dict[str, Any]]] = [
    ("a b", {}),
    ("a b", {"n": 2, "best_of": 3}),
    ("torn", {"logprobs": 2, "echo": True}),
]


@pytest.mark.parametrize(("text", "fields"), CHATS)
def test_a_chat(client: TestClient, text: str, fields: dict[str, Any]) -> None:
    body = ask(client, text, **fields).json()
    read = ChatCompletion.model_validate(body, strict=True)
    assert read.model_dump(exclude_unset=True) == body
    theirs = polargrid.types.ChatCompletionResponse.model_validate(body)
    calls = theirs.choices[0].message.tool_calls or []
    assert [call.model_dump() for call in calls] == body["choices"][0]["message"].get("tool_calls", [])


@pytest.mark.parametrize(("text", "fields"), CHATS)
def test_a_streamed_chat(client: TestClient, text: str, fields: dict[str, Any]) -> None:
    for chunk in events(ask(client, text, stream=True, **fields).text):
        read = ChatCompletionChunk.model_validate(chunk, strict=True)
        assert read.model_dump(exclude_unset=True) == chunk
        polargrid.types.ChatCompletionChunk.model_validate(chunk)


@pytest.mark.parametrize(("text", "fields"), COMPLETIONS)
def test_a_completion(client: TestClient, text: str, fields: dict[str, Any]) -> None:
    body = complete(client, prompt=text, **fields).json()
    assert Completion.model_validate(body, strict=True).model_dump(exclude_unset=True) == body
    polargrid.types.CompletionResponse.model_validate(body)


@pytest.mark.parametrize(
    ("text", "fields"), [(text, fields) for text, fields in COMPLETIONS if "best_of" not in fields]
)
def test_a_streamed_completion(client: TestClient, text: str, fields: dict[str, Any]) -> None:
    for chunk in events(complete(client, prompt=text, stream=True, **fields).text):
        polargrid.types.CompletionChunk.model_validate(chunk)
        # As the openai package itself reads answers: its type knows no finish reason of null, its API does.
        assert Completion.construct(**chunk).model_dump(exclude_unset=True) == chunk
