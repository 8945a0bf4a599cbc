"""polargrid-sdk writes text and embeds it, pinned to an edge by its base URL."""

import time

import numpy as np
import pytest
from polargrid import (
    AuthenticationError,
    NotFoundError,
    PolarGrid,
    PolarGridSync,
    ValidationError,
)
from polargrid.types import EmbeddingRequest

from tests.e2e.grids import Grid

MODEL = "smollm2-135m-instruct"
GREEDY = {"temperature": 1e-5, "max_tokens": 16}
"""The client turns a temperature of 0 into 0.7; this one is as good as 0."""

CHAT = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You answer in one sentence."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
    **GREEDY,
}
PROMPT = {"model": MODEL, "prompt": "The three primary colours are", **GREEDY}


@pytest.fixture
def client(grid: Grid, edge_url: str) -> PolarGrid:
    return PolarGrid(api_key=grid.inference_key, base_url=edge_url, timeout=120, max_retries=0)


@pytest.fixture
def sync_client(grid: Grid, edge_url: str) -> PolarGridSync:
    # A base URL with a slash at its end makes this client ask for //v1/…
    return PolarGridSync(api_key=grid.inference_key, base_url=f"{edge_url}/", timeout=120, max_retries=0)


@pytest.mark.anyio
async def test_chat(client: PolarGrid) -> None:
    answer = await client.chat_completion(CHAT)

    assert answer.id.startswith("chatcmpl-")
    assert abs(answer.created - time.time()) < 120
    assert answer.model == MODEL
    (choice,) = answer.choices
    assert (choice.index, choice.message.role) == (0, "assistant")
    assert "Paris" in choice.message.content
    assert choice.finish_reason in {"stop", "length"}
    assert answer.usage.prompt_tokens > 15
    assert 1 <= answer.usage.completion_tokens <= 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.pg_metadata.region == "yto-01"
    assert answer.pg_metadata.latency_ms >= answer.pg_metadata.inference_time_ms > 0
    assert answer.pg_metadata.queue_time_ms >= 0


@pytest.mark.anyio
async def test_streamed_chat_is_the_same_chat(client: PolarGrid) -> None:
    whole = await client.chat_completion(CHAT)
    chunks = [chunk async for chunk in client.chat_completion_stream(CHAT)]

    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].id.startswith("chatcmpl-")
    assert {chunk.model for chunk in chunks} == {MODEL}
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + [whole.choices[0].finish_reason]
    assert deltas[-1].content is None
    assert len(chunks) > 4


@pytest.mark.anyio
async def test_a_foreign_model_name_is_answered_with_what_really_ran(client: PolarGrid) -> None:
    answer = await client.chat_completion({**CHAT, "model": "qwen-3.5-27b", "max_tokens": 1})

    assert answer.model == MODEL
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 1


@pytest.mark.anyio
async def test_a_seed_repeats_a_random_answer(client: PolarGrid) -> None:
    request = {**CHAT, "temperature": 1.5, "seed": 7, "max_tokens": 8}
    first, second, other = [
        (await client.chat_completion({**request, "seed": seed})).choices[0].message.content
        for seed in (7, 7, 8)
    ]

    assert first == second
    assert first != other


@pytest.mark.anyio
async def test_every_sampling_field_is_taken(client: PolarGrid) -> None:
    answer = await client.chat_completion(
        {
            **CHAT,
            "temperature": 0.8,
            "top_p": 0.5,
            "top_k": 20,
            "min_p": 0.05,
            "frequency_penalty": 0.5,
            "presence_penalty": -0.5,
            "repetition_penalty": 1.1,
            "stop": ["\n", "###"],
            "seed": 1,
            "user": "somebody",
            "enable_thinking": False,
            "response_format": {"type": "text"},
            "max_tokens": 4,
        }
    )

    assert answer.choices[0].message.content


@pytest.mark.anyio
async def test_turns_with_parts_and_tool_calls_are_taken(client: PolarGrid) -> None:
    call = {"id": "call_1", "function": {"name": "capital", "arguments": '{"country": "France"}'}}
    answer = await client.chat_completion(
        {
            "model": MODEL,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "Paris"},
            ],
            **GREEDY,
            "max_tokens": 4,
        }
    )

    assert answer.choices[0].message.content


@pytest.mark.anyio
async def test_completion(client: PolarGrid) -> None:
    answer = await client.completion(PROMPT)

    assert answer.id.startswith("cmpl-")
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason) == (0, "length")
    assert len(choice.text.split()) > 3
    assert answer.usage.completion_tokens == 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 16


@pytest.mark.anyio
async def test_streamed_completion_is_the_same_completion(client: PolarGrid) -> None:
    whole = await client.completion(PROMPT)
    chunks = [chunk async for chunk in client.completion_stream(PROMPT)]

    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["length"]


@pytest.mark.anyio
async def test_completion_of_several_prompts(client: PolarGrid) -> None:
    prompts = ["One, two, three,", "The three primary colours are"]
    together = await client.completion({**PROMPT, "prompt": prompts})
    chunks = [chunk async for chunk in client.completion_stream({**PROMPT, "prompt": prompts})]

    assert [choice.index for choice in together.choices] == [0, 1]
    assert together.choices[1].text == (await client.completion(PROMPT)).choices[0].text
    for choice in together.choices:
        streamed = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == choice.index]
        assert "".join(part.text for part in streamed) == choice.text
        assert streamed[-1].finish_reason == choice.finish_reason


@pytest.mark.anyio
async def test_stop_ends_a_completion_before_the_stop(client: PolarGrid) -> None:
    whole = (await client.completion(PROMPT)).choices[0].text
    word = whole.split()[3]
    stopped = (await client.completion({**PROMPT, "stop": [word]})).choices[0]

    assert stopped.finish_reason == "stop"
    assert stopped.text == whole[: whole.index(word)]


@pytest.mark.anyio
async def test_generate_is_a_chat_of_one_turn(client: PolarGrid) -> None:
    asked = {"model": MODEL, **GREEDY}
    answer = await client.generate({**asked, "prompt": "Name a colour."})
    chat = await client.chat_completion(
        {**asked, "messages": [{"role": "user", "content": "Name a colour."}]}
    )

    assert answer.content == chat.choices[0].message.content
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == MODEL
    assert answer.usage == chat.usage


@pytest.mark.anyio
async def test_embeddings(client: PolarGrid) -> None:
    answer = await client.embeddings(
        EmbeddingRequest(model="text-embedding-3-small", input=["a cat", "a kitten", "tax law"])
    )

    assert answer.model == "all-minilm-l6-v2"
    assert [row.index for row in answer.data] == [0, 1, 2]
    vectors = np.array([row.embedding for row in answer.data])
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    cat, kitten, law = vectors
    assert cat @ kitten > cat @ law + 0.2
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 6


@pytest.mark.anyio
async def test_the_synchronous_client_gets_the_same(client: PolarGrid, sync_client: PolarGridSync) -> None:
    chat = sync_client.chat_completion(CHAT)
    assert chat.choices == (await client.chat_completion(CHAT)).choices
    deltas = [chunk.choices[0].delta for chunk in sync_client.chat_completion_stream(CHAT)]
    assert "".join(delta.content or "" for delta in deltas) == chat.choices[0].message.content

    completion = sync_client.completion(PROMPT)
    assert completion.choices == (await client.completion(PROMPT)).choices
    texts = [chunk.choices[0].text for chunk in sync_client.completion_stream(PROMPT)]
    assert "".join(texts) == completion.choices[0].text

    generated = sync_client.generate({"model": MODEL, "prompt": "Hello", "max_tokens": 2})
    assert generated.content

    request = EmbeddingRequest(model="all-minilm-l6-v2", input="one text", user="somebody")
    assert sync_client.embeddings(request).data == (await client.embeddings(request)).data


@pytest.mark.anyio
async def test_errors_are_of_the_clients_own_classes(
    client: PolarGrid, edge_url: str, operator_only_key: str
) -> None:
    stranger = PolarGrid(api_key="pg_unknown", base_url=edge_url, timeout=120, max_retries=0)
    with pytest.raises(AuthenticationError, match="Invalid API key"):
        await stranger.chat_completion(CHAT)
    with pytest.raises(AuthenticationError, match="Invalid API key"):
        _ = [chunk async for chunk in stranger.chat_completion_stream(CHAT)]

    operator = PolarGrid(api_key=operator_only_key, base_url=edge_url, timeout=120, max_retries=0)
    with pytest.raises(AuthenticationError, match="inference"):
        await operator.chat_completion(CHAT)

    with pytest.raises(NotFoundError, match=r"'nobody'.*/v1/models"):
        await client.chat_completion({**CHAT, "model": "nobody"})
    with pytest.raises(NotFoundError, match=r"'nobody'.*/v1/models"):
        _ = [chunk async for chunk in client.completion_stream({**PROMPT, "model": "nobody"})]

    with pytest.raises(ValidationError, match="context holds 8192"):
        await client.completion({**PROMPT, "prompt": "word " * 9000})
    with pytest.raises(ValidationError, match="context holds 8192"):
        _ = [chunk async for chunk in client.completion_stream({**PROMPT, "prompt": "word " * 9000})]
    with pytest.raises(ValidationError, match=r"response_format.*needs json_schema"):
        await client.chat_completion({**CHAT, "response_format": {"type": "json_schema"}})
