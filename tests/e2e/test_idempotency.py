"""Requests that are sent twice, to edges and models that are real."""

import secrets
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx
import openai

from tests.e2e.errors import assert_error
from tests.e2e.grids import CHAT_MODEL, Grid
from tests.e2e.services import TIMEOUT_SECONDS, LoneEdge, create_key

CHAT = {
    "model": CHAT_MODEL,
    "messages": [{"role": "user", "content": "Tell me of the sea."}],
    "max_tokens": 12,
    "temperature": 1.5,
}
"""Its answer is another one every time."""


def named() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(16)}


def replayed(answer: httpx.Response) -> bool:
    return "true" in answer.headers.get_list("Idempotent-Replayed")


def test_a_repeat_has_the_first_answer_at_every_edge_of_the_node(grid: Grid, http: httpx.Client) -> None:
    headers = named()
    first = http.post("/v1/chat/completions", json=CHAT, headers=headers)
    elsewhere = httpx.post(
        f"{grid.edges['nyc-01']}/v1/chat/completions",
        json=CHAT,
        headers=headers | {"Authorization": f"Bearer {grid.inference_key}"},
        timeout=TIMEOUT_SECONDS,
    )
    other = http.post("/v1/chat/completions", json=CHAT, headers=named())
    assert first.status_code == other.status_code == 200, first.text
    assert elsewhere.content == first.content != other.content
    assert elsewhere.headers["X-Provocapi-Worker"] == "yto-01", "who did it"
    assert (replayed(first), replayed(elsewhere), replayed(other)) == (False, True, False)
    changed = http.post("/v1/chat/completions", json=CHAT | {"max_tokens": 3}, headers=headers)
    error = assert_error(changed, 422, "Idempotency-Key")
    assert error["code"] == "idempotency_key_reused"


def test_64_at_once_are_one(http: httpx.Client) -> None:
    headers = named()
    with ThreadPoolExecutor(64) as threads:
        asked = [
            threads.submit(http.post, "/v1/chat/completions", json=CHAT, headers=headers) for _ in range(64)
        ]
        answers = [answer.result(TIMEOUT_SECONDS) for answer in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum(not replayed(answer) for answer in answers) == 1


def test_a_stream_of_events_is_replayed_byte_for_byte(http: httpx.Client) -> None:
    headers = named()
    first, second = [
        http.post("/v1/chat/completions", json=CHAT | {"stream": True}, headers=headers) for _ in range(2)
    ]
    assert first.content.endswith(b"data: [DONE]\n\n")
    assert first.content == second.content
    assert second.headers["Content-Type"].startswith("text/event-stream")
    assert replayed(second)


def test_sound_is_replayed_too(http: httpx.Client) -> None:
    body = {"model": "kokoro-82m", "voice": "af_sarah", "input": "Once more.", "response_format": "wav"}
    for more in ({}, {"stream": True, "response_format": "pcm"}):
        headers = named()
        first, second = [http.post("/v1/audio/speech", json=body | more, headers=headers) for _ in range(2)]
        assert first.status_code == 200, first.text
        assert first.content == second.content
        assert first.headers["Content-Type"] == second.headers["Content-Type"]
        assert (replayed(first), replayed(second)) == (False, True)


def test_a_form_is_the_same_whatever_its_boundary(http: httpx.Client, recording: bytes) -> None:
    headers = named()
    answers = [
        http.post(
            "/v1/audio/transcriptions",
            data={"model": "whisper-tiny.en"},
            files={"file": ("a.wav", recording, "audio/wav")},
            headers=headers,
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].content == answers[1].content
    assert replayed(answers[1])


def test_a_key_that_is_made_twice_is_one_and_its_text_lies_nowhere(grid: Grid, edge_url: str) -> None:
    def make(caller: str) -> httpx.Response:
        authorization = {"Authorization": f"Bearer {caller}"}
        body = {"displayName": "twice", "scopes": ["inference"]}
        return httpx.post(f"{edge_url}/v1/tokens", json=body, headers=headers | authorization, timeout=60)

    headers = named()
    first, second = make(grid.operator_key), make(grid.operator_key)
    assert first.status_code == second.status_code == 201, first.text
    assert first.content == second.content
    assert replayed(second)
    raw = first.json()["key"]
    assert httpx.get(f"{edge_url}/v1/models", headers={"Authorization": f"Bearer {raw}"}).status_code == 200
    for file in grid.home.glob("*.db*"):
        assert raw.encode() not in file.read_bytes()
    other = create_key(grid.home, "keys", "inference")["key"]
    assert_error(make(other), 409, "another key")


def test_the_openai_package_can_send_a_key(client: openai.OpenAI) -> None:
    def ask(headers: dict[str, str]) -> str:
        answer = client.chat.completions.create(
            model=CHAT_MODEL,
            messages=[{"role": "user", "content": "Tell me of the sea."}],
            max_tokens=12,
            temperature=1.5,
            extra_headers=headers,
        )
        return answer.id

    headers = named()
    assert ask(headers) == ask(headers) != ask(named())


def test_the_published_clients_retry_is_not_done_twice(http: httpx.Client) -> None:
    """It sends the same X-Request-ID again when it has had no answer in 30 s, and has left by then."""
    headers = {"X-Request-ID": f"req_{int(time.time())}_{secrets.token_hex(5)[:9]}"}
    body = CHAT | {"max_tokens": 120, "logit_bias": {"2": -100}}
    try:
        http.post("/v1/chat/completions", json=body, headers=headers, timeout=0.3)
    except httpx.ReadTimeout:
        pass
    else:
        raise AssertionError("the first was to be too slow")
    second = http.post("/v1/chat/completions", json=body, headers=headers)
    third = http.post("/v1/chat/completions", json=body, headers=headers)
    assert second.status_code == 200, second.text
    assert replayed(second)
    assert second.content == third.content
    assert second.headers["X-Request-ID"] == headers["X-Request-ID"]


Start = Callable[..., AbstractContextManager[LoneEdge]]


def test_an_edge_that_is_killed_forgets_no_answer_and_does_what_it_had_begun(lone_edge: Start) -> None:
    done, begun = named(), named()
    slow = CHAT | {"max_tokens": 200, "logit_bias": {"2": -100}}
    with lone_edge() as edge, edge.client() as http, ThreadPoolExecutor(1) as threads:
        authorization = http.headers["Authorization"]
        first = http.post("/v1/chat/completions", json=CHAT, headers=done)
        assert first.status_code == 200, first.text
        cut = threads.submit(http.post, "/v1/chat/completions", json=slow, headers=begun)
        time.sleep(0.5)
        assert not cut.done()
        edge.service.process.send_signal(signal.SIGKILL)
        assert isinstance(cut.exception(TIMEOUT_SECONDS), httpx.TransportError)
    with lone_edge() as edge, edge.client() as http:
        http.headers["Authorization"] = authorization
        again = http.post("/v1/chat/completions", json=CHAT, headers=done)
        assert again.content == first.content
        assert replayed(again)
        started = time.monotonic()
        late = http.post("/v1/chat/completions", json=slow, headers=begun)
        assert late.status_code == 200, late.text
        assert not replayed(late), "the one that was killed gave no answer"
        assert time.monotonic() - started < 60
        once_more = http.post("/v1/chat/completions", json=slow, headers=begun)
        assert once_more.content == late.content
        assert replayed(once_more)
