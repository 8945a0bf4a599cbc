"""The openai package chats and completes at an edge."""

import time
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.grids import Grid

MODEL = "smollm2-135m-instruct"
MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You answer in one sentence."},
    {"role": "user", "content": "What is the capital of France?"},
]
PROMPT = "The three primary colours are"


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0, max_tokens=16)

    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert abs(answer.created - time.time()) < 120
    assert answer.model == MODEL
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert "Paris" in (choice.message.content or "")
    assert choice.finish_reason in {"stop", "length"}
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model_extra is not None
    assert answer.model_extra["routing"] == {"path": "local", "provider": "yto-01"}


def test_streamed_chat_is_the_same_chat(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0, max_tokens=16)
    with client.chat.completions.create(
        model=MODEL, messages=MESSAGES, temperature=0, max_tokens=16, stream=True
    ) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        chunks = list(stream)

    assert {(chunk.id, chunk.object, chunk.created, chunk.model) for chunk in chunks} == {
        (chunks[0].id, "chat.completion.chunk", chunks[0].created, MODEL)
    }
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(chunks) - 1)
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + [whole.choices[0].finish_reason]
    assert [chunk.usage for chunk in chunks] == [None] * (len(chunks) - 1) + [whole.usage]


def test_a_stream_with_usage_ends_in_a_chunk_without_choices(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,
            max_tokens=3,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.completion_tokens, usage.total_tokens) == (3, usage.prompt_tokens + 3)
    assert all(chunk.choices for chunk in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "length"


def test_several_choices(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "n": 2, "seed": 5, "max_tokens": 8}
    whole = client.chat.completions.create(**asked, temperature=1.5)
    chunks = list(client.chat.completions.create(**asked, temperature=1.5, stream=True))

    assert [choice.index for choice in whole.choices] == [0, 1]
    first, second = (choice.message.content for choice in whole.choices)
    assert first != second
    for index, content in enumerate((first, second)):
        streamed = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert streamed[0].delta.role == "assistant"
        assert "".join(choice.delta.content or "" for choice in streamed) == content
        assert streamed[-1].finish_reason == whole.choices[index].finish_reason
    assert whole.usage is not None
    one = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=1)
    assert one.usage is not None
    assert whole.usage.prompt_tokens == one.usage.prompt_tokens
    assert whole.usage.completion_tokens <= 16


@pytest.mark.parametrize("stop", ["Paris", ["nothing like it", "Paris"]], ids=["text", "list"])
def test_stop(client: openai.OpenAI, stop: str | list[str]) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, temperature=0, max_tokens=16, stop=stop
    )

    assert answer.choices[0].finish_reason == "stop"
    assert "capital of France" in (answer.choices[0].message.content or "")
    assert "Paris" not in (answer.choices[0].message.content or "")


def test_max_completion_tokens_wins(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=9, max_completion_tokens=2
    )

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    assert answer.choices[0].finish_reason == "length"


def test_developer_and_parts_are_system_and_text(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0, max_tokens=8)
    other = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "developer", "content": "You answer in one sentence."},
            {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]},
        ],
        temperature=0,
        max_tokens=8,
    )

    assert other.choices[0].message.content == plain.choices[0].message.content
    assert other.usage == plain.usage


def test_raw_response_names_the_model_and_the_request(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=MESSAGES, max_tokens=1, extra_headers={"X-Request-ID": "mine-1"}
    )

    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-provocapi-model"] == MODEL
    assert raw.headers["x-provocapi-worker"] == "yto-01"
    assert int(raw.headers["x-provocapi-queue-ms"]) >= 0
    assert raw.parse().model == MODEL


def test_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=PROMPT, temperature=0, max_tokens=12)

    assert answer.id.startswith("cmpl-")
    assert answer.object == "text_completion"
    (choice,) = answer.choices
    assert len(choice.text.split()) > 3
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12


def test_streamed_completion_is_the_same_completion(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=MODEL, prompt=PROMPT, temperature=0, max_tokens=12)
    chunks = list(
        client.completions.create(
            model=MODEL,
            prompt=PROMPT,
            temperature=0,
            max_tokens=12,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_completion_of_several_prompts(client: openai.OpenAI) -> None:
    prompts = [PROMPT, "One, two, three,"]
    answer = client.completions.create(model=MODEL, prompt=prompts, n=2, max_tokens=4, seed=3)
    alone = [client.completions.create(model=MODEL, prompt=prompt, max_tokens=1) for prompt in prompts]

    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone if one.usage)


def test_completion_of_tokens(client: openai.OpenAI) -> None:
    one = client.completions.create(model=MODEL, prompt=[504, 1038, 5], temperature=0, max_tokens=4)
    several = client.completions.create(
        model=MODEL, prompt=[[504, 1038, 5], [1, 2]], temperature=0, max_tokens=4
    )

    assert one.usage is not None
    assert one.usage.prompt_tokens == 3
    assert several.usage is not None
    assert several.usage.prompt_tokens == 5
    assert several.choices[0].text == one.choices[0].text


def test_a_prompt_is_scored_without_a_completion(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "prompt": [PROMPT, "é è"], "echo": True, "logprobs": 2}
    scored = client.completions.create(**asked, max_tokens=0)
    chunks = list(client.completions.create(**asked, max_tokens=0, stream=True))
    longer = client.completions.create(**asked, max_tokens=2, temperature=0)

    assert [choice.text for choice in scored.choices] == [PROMPT, "é è"]
    assert [choice.finish_reason for choice in scored.choices] == ["length", "length"]
    for choice, continued in zip(scored.choices, longer.choices, strict=True):
        assert choice.logprobs is not None
        assert continued.logprobs is not None
        assert choice.logprobs.token_logprobs is not None
        assert choice.logprobs.token_logprobs[0] is None
        assert all(one < 0 for one in choice.logprobs.token_logprobs[1:] if one is not None)
        for name, values in choice.logprobs:
            assert values == getattr(continued.logprobs, name)[:-2]
        told = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == choice.index]
        assert [one.finish_reason for one in told] == [None, "length"]
        assert (told[0].text, told[0].logprobs, told[1].text) == (choice.text, choice.logprobs, "")
    assert scored.usage is not None
    assert scored.usage.completion_tokens == 0
    assert (
        scored.usage.total_tokens
        == scored.usage.prompt_tokens
        == sum(len(choice.logprobs.tokens or []) for choice in scored.choices if choice.logprobs)
    )
    assert chunks[-1].usage == scored.usage


def test_models(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}

    assert list(listed) == ["smollm2-135m-instruct", "all-minilm-l6-v2", "kokoro-82m", "whisper-tiny.en"]
    assert all(model.object == "model" and model.owned_by for model in listed.values())
    assert client.models.retrieve("kokoro-82m") == listed["kokoro-82m"]
    assert client.models.retrieve("hexgrad/Kokoro-82M") == listed["kokoro-82m"]


def test_errors_are_of_the_packages_own_classes(
    client: openai.OpenAI, grid: Grid, operator_only_key: str
) -> None:
    for key, expected in (
        ("pg_unknown", openai.AuthenticationError),
        (operator_only_key, openai.PermissionDeniedError),
    ):
        with pytest.raises(expected):
            client.with_options(api_key=key).chat.completions.create(model=MODEL, messages=MESSAGES)

    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody", messages=MESSAGES)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    assert missing.value.type == "not_found_error"

    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=3)
    assert refused.value.param == "temperature"
    assert refused.value.type == "invalid_request_error"
    assert "less than or equal to 2" in refused.value.message

    with pytest.raises(openai.BadRequestError) as long:
        list(client.completions.create(model=MODEL, prompt="word " * 9000, stream=True))
    assert "context holds 8192" in long.value.message

    with pytest.raises(openai.APIStatusError) as large:
        client.completions.create(model=MODEL, prompt="x" * 5_000_000)
    assert large.value.status_code == 413


@pytest.mark.anyio
async def test_the_asynchronous_client(grid: Grid, edge_url: str) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{edge_url}/v1", api_key=grid.inference_key, timeout=120, max_retries=0
    ) as client:
        whole = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, temperature=0, max_tokens=8
        )
        stream = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, temperature=0, max_tokens=8, stream=True
        )
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(texts) == whole.choices[0].message.content
