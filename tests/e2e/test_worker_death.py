"""A worker that dies is replaced, and its edge keeps answering. What breaks here breaks at nyc-01."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.errors import assert_error
from tests.e2e.events import ENDLESS, events
from tests.e2e.grids import Grid
from tests.e2e.services import TIMEOUT_SECONDS, is_healthy
from tests.shared.services import read_all

SPEECH = "/v1/audio/speech"
COMPLETIONS = "/v1/completions"
SHORT = ENDLESS | {"max_tokens": 2}
EMBED = {"model": "all-minilm-l6-v2", "input": "still here"}


@pytest.fixture
def nyc(grid: Grid) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {grid.inference_key}"}
    with httpx.Client(base_url=grid.edges["nyc-01"], headers=headers, timeout=TIMEOUT_SECONDS) as client:
        yield client


def http1_0(url: str, key: str, path: str, body: dict[str, Any]) -> socket.socket:
    """Send a request over HTTP/1.0, which knows no chunks."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.0\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(data)}\r\n\r\n"
    wire = socket.create_connection(("127.0.0.1", httpx.URL(url).port or 80), TIMEOUT_SECONDS)
    wire.sendall(head.encode() + data)
    return wire


def wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + 60
    while not is_healthy(url):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_in_mid_stream(grid: Grid, nyc: httpx.Client) -> None:
    victim = grid.worker("nyc-01")
    with nyc.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True}) as answer:
        received = events(answer)
        first = next(received)
        victim.kill()
        # The other models of this edge have workers of their own.
        assert nyc.post("/v1/embeddings", json=EMBED).status_code == 200
        *texts, failure = received

    assert all("error" not in event for event in (first, *texts))
    assert failure.keys() == {"error"}
    assert failure["error"].keys() == {"message", "type", "param", "code"}
    assert failure["error"]["code"] == "worker_failed"
    assert "restart" in failure["error"]["message"]

    again = nyc.post(COMPLETIONS, json=SHORT)
    assert again.status_code == 200
    assert again.json()["usage"]["completion_tokens"] == 2
    assert grid.worker("nyc-01").pid != victim.pid
    wait_until_healthy(grid.edges["nyc-01"])


def test_before_anything_was_answered(grid: Grid, nyc: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(nyc.post, COMPLETIONS, json=ENDLESS)
        time.sleep(1)
        assert not answer.done()
        grid.worker("nyc-01").kill()
        error = assert_error(answer.result(TIMEOUT_SECONDS), 502, "restart")

    assert (error["type"], error["code"]) == ("server_error", "worker_failed")
    assert nyc.post(COMPLETIONS, json=SHORT).status_code == 200
    wait_until_healthy(grid.edges["nyc-01"])


def test_with_requests_that_wait(grid: Grid, nyc: httpx.Client) -> None:

    def ask(body: dict[str, Any]) -> httpx.Response:
        return nyc.post(COMPLETIONS, json=body)

    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(ask, ENDLESS) for _ in range(4)]
        time.sleep(1)
        grid.worker("nyc-01").kill()
        for answer in answers:
            assert_error(answer.result(TIMEOUT_SECONDS), 502, "restart")
        # These come while there is no worker, and wait for the next one.
        later = [threads.submit(ask, SHORT) for _ in range(4)]
        assert [answer.result(TIMEOUT_SECONDS).status_code for answer in later] == [200] * 4
    wait_until_healthy(grid.edges["nyc-01"])


def test_the_status_tells_of_it(grid: Grid, nyc: httpx.Client) -> None:
    def wait_for(wanted: str) -> None:
        deadline = time.monotonic() + 60
        while (seen := nyc.get("/v1/models/status").json())["loading_status"][ENDLESS["model"]] != wanted:
            assert time.monotonic() < deadline
        assert (ENDLESS["model"] in seen["loaded"]) == (wanted == "loaded")

    grid.worker("nyc-01").kill()
    wait_for("loading")
    wait_for("loaded")
    wait_until_healthy(grid.edges["nyc-01"])


def test_the_openai_package_raises_in_mid_stream(grid: Grid) -> None:
    with openai.OpenAI(
        base_url=f"{grid.edges['nyc-01']}/v1", api_key=grid.inference_key, max_retries=0
    ) as client:
        stream = client.completions.create(
            model=ENDLESS["model"], prompt=ENDLESS["prompt"], max_tokens=4000, stream=True
        )
        next(stream)
        grid.worker("nyc-01").kill()
        with pytest.raises(openai.APIError, match="restart"):
            list(stream)
    wait_until_healthy(grid.edges["nyc-01"])


def test_a_speech_that_breaks_off_is_not_taken_for_whole(grid: Grid, nyc: httpx.Client) -> None:
    body = {"model": "kokoro-82m", "voice": "af_bella", "input": "Once upon a time. " * 50, "stream": True}
    with (
        nyc.stream("POST", SPEECH, json=body) as http1,
        httpx.Client(http1=False, http2=True, headers=nyc.headers, timeout=TIMEOUT_SECONDS) as client,
        client.stream("POST", f"{grid.edges['nyc-01']}{SPEECH}", json=body) as http2,
        http1_0(grid.edges["nyc-01"], grid.inference_key, SPEECH, body) as wire,
    ):
        assert (http1.status_code, http2.status_code, wire.recv(12)) == (200, 200, b"HTTP/1.1 200")
        assert http2.http_version == "HTTP/2"
        pieces, pieces2 = http1.iter_bytes(), http2.iter_bytes()
        assert next(pieces)
        assert next(pieces2)
        grid.worker("nyc-01", "kokoro-82m").kill()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces2)
        with pytest.raises(ConnectionResetError):
            read_all(wire)

    again = nyc.post(SPEECH, json=body | {"input": "Yes.", "stream": False})
    assert again.status_code == 200
    wait_until_healthy(grid.edges["nyc-01"])
