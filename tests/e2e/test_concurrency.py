"""Many requests at once: each gets its own answer, and what is too much is refused at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.errors import assert_error
from tests.e2e.events import ENDLESS, events
from tests.e2e.services import TIMEOUT_SECONDS, LoneEdge
from tests.shared.services import eventually

COUNTRIES = ["France", "Italy", "Spain", "Japan", "Egypt", "Peru", "Cuba", "Chile"]
COMPLETIONS = "/v1/completions"
SHORT = ENDLESS | {"max_tokens": 1}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def capital(client: openai.OpenAI, country: str) -> str:
    answer = client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=[{"role": "user", "content": f"What is the capital of {country}?"}],
        temperature=0,
        max_tokens=10,
    )
    return answer.choices[0].message.content or ""


def streamed_capital(client: openai.OpenAI, country: str) -> str:
    stream = client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=[{"role": "user", "content": f"What is the capital of {country}?"}],
        temperature=0,
        max_tokens=10,
        stream=True,
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def results(futures: list[Future[Any]]) -> list[Any]:
    return [future.result(TIMEOUT_SECONDS) for future in futures]


def test_everything_at_once(client: openai.OpenAI, threads: ThreadPoolExecutor) -> None:
    def vector(text: str) -> list[float]:
        return client.embeddings.create(model="all-minilm-l6-v2", input=text).data[0].embedding

    def speak(text: str) -> bytes:
        return client.audio.speech.create(
            model="tts-1", voice="alloy", input=text, response_format="pcm"
        ).read()

    alone = [capital(client, country) for country in COUNTRIES]
    alone_vectors = [vector(country) for country in COUNTRIES]

    whole = [threads.submit(capital, client, country) for country in COUNTRIES]
    streamed = [threads.submit(streamed_capital, client, country) for country in COUNTRIES]
    vectors = [threads.submit(vector, country) for country in COUNTRIES]
    spoken = [threads.submit(speak, text) for text in ("Hello there.", "Good bye.")]

    assert results(whole) == alone
    assert results(streamed) == alone
    # Embeddings that share a step differ in their last bits.
    for together, single in zip(results(vectors), alone_vectors, strict=True):
        assert together == pytest.approx(single, abs=1e-3)
    assert all(len(sound) > 24_000 for sound in results(spoken))


def test_above_the_queue_limit(lone_edge: Callable[..., AbstractContextManager[LoneEdge]]) -> None:
    with lone_edge(edge_queue=2) as edge, edge.client() as http:
        with http.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True, "n": 2}) as both:
            received = events(both)
            next(received)
            for body in (SHORT, SHORT | {"stream": True}, SHORT | {"n": 2}):
                refused = http.post(COMPLETIONS, json=body)
                error = assert_error(refused, 503, "try again")
                assert error["code"] == "no_capacity"
                assert int(refused.headers["retry-after"]) > 0
            with (
                openai.OpenAI(base_url=f"{edge.url}/v1", api_key=edge.key, max_retries=0) as client,
                pytest.raises(openai.InternalServerError, match="try again"),
            ):
                capital(client, "France")
            assert http.get("/v1/models").status_code == 200
            assert httpx.get(f"{edge.url}/health").json()["status"] == "healthy"

        # Both choices end with their client, as soon as the edge sees that it has left.
        assert eventually(lambda: http.post(COMPLETIONS, json=SHORT).status_code == 200, within_seconds=20)
        edge.service.stop()


def test_what_waits_is_answered_in_turn(
    lone_edge: Callable[..., AbstractContextManager[LoneEdge]], threads: ThreadPoolExecutor
) -> None:
    with lone_edge(edge_slots=1) as edge, edge.client() as http:
        with http.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True}) as first:
            received = events(first)
            next(received)
            waiting = [threads.submit(http.post, COMPLETIONS, json=SHORT) for _ in range(8)]
            next(received)
            assert not any(future.done() for future in waiting)

        assert [answer.status_code for answer in results(waiting)] == [200] * 8
        edge.service.stop()


def test_a_short_speech_does_not_wait_for_a_long_one(http: httpx.Client) -> None:
    speech = {"model": "kokoro-82m", "voice": "af_bella"}
    long = speech | {"input": "This is a sentence of a very long text. " * 90, "stream": True}
    with http.stream("POST", "/v1/audio/speech", json=long) as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        short = http.post("/v1/audio/speech", json=speech | {"input": "Good morning."})
        assert short.status_code == 200
        # All of the long one takes more than a minute.
        assert int(short.headers["x-provocapi-queue-ms"]) < 20_000


def test_a_short_answer_does_not_wait_for_a_long_one(http: httpx.Client) -> None:
    with http.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True}) as endless:
        received = events(endless)
        next(received)
        assert http.post(COMPLETIONS, json=SHORT).status_code == 200
        next(received)
