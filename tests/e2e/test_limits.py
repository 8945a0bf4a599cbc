"""Limits at edges that run, alone and together."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.conftest import QUIET_DRAIN
from tests.e2e.errors import assert_error
from tests.e2e.services import TIMEOUT_SECONDS, LoneEdge, free_ports, run, service
from tests.valkey import VALKEY_URL, needs_valkey

MODEL = "all-minilm-l6-v2"
BODY = {"model": MODEL, "input": "a"}
LIMIT = 20

Start = Callable[..., AbstractContextManager[LoneEdge]]


def wait_for_room_in_the_minute(seconds: float) -> None:
    """Return when that many seconds of the current minute are left."""
    left = 60 - time.time() % 60
    if left < seconds:
        time.sleep(left + 0.1)


def test_100_requests_a_minute_are_what_a_key_has_by_default(lone_edge: Start) -> None:
    with lone_edge(edge_models=MODEL, edge_requests_per_minute=100) as edge, edge.client() as http:
        wait_for_room_in_the_minute(25)
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(http.post, "/v1/embeddings", json=BODY) for _ in range(110)]
            answers = [answer.result(TIMEOUT_SECONDS) for answer in asked]
        assert sorted(answer.status_code for answer in answers) == [200] * 100 + [429] * 10
        remaining = sorted(int(answer.headers["X-RateLimit-Remaining"]) for answer in answers)
        assert remaining == [0] * 10 + list(range(100))
        refused = next(answer for answer in answers if answer.status_code == 429)
        error = assert_error(refused, 429, "100 requests a minute per key")
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        reset = int(refused.headers["X-RateLimit-Reset"])
        assert reset % 60 == 0
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert http.get("/v1/models").status_code == 200, "looking is free"
        with (
            openai.OpenAI(base_url=f"{edge.url}/v1", api_key=edge.key, max_retries=0) as client,
            pytest.raises(openai.RateLimitError) as caught,
        ):
            client.embeddings.create(model=MODEL, input="a")
        assert caught.value.code == "rate_limit_exceeded"


@pytest.fixture
def fleet(tmp_path: Path, postgresql: str) -> Iterator[list[LoneEdge]]:
    """Two edges with homes of their own that share a database and a store of counts."""
    shared = {"database_url": postgresql, "valkey_url": VALKEY_URL}
    made = run("keys", "create", "--json", "--home", tmp_path / "keys", **shared)
    assert made.returncode == 0, made.stderr
    key = httpx.Response(200, content=made.stdout).json()["key"]
    # On a machine this busy, a store that is slow for a moment must not look like one that fails.
    settings = QUIET_DRAIN | shared | {"edge_models": MODEL, "valkey_timeout_ms": 5000}
    settings |= {"edge_requests_per_minute": LIMIT}
    with ExitStack() as stack:
        edges = []
        for region in ("yto-01", "nyc-01"):
            port, home = free_ports(1), tmp_path / region
            arguments = ("edge", "--region", region, "--port", port, "--home", home)
            running = stack.enter_context(service(tmp_path / f"{region}.log", *arguments, **settings))
            edges.append(LoneEdge(f"http://127.0.0.1:{port}", key, running))
        for edge in edges:
            edge.service.wait_until_healthy(edge.url)
        yield edges


@needs_valkey
def test_two_edges_of_a_fleet_count_and_remember_together(fleet: list[LoneEdge]) -> None:
    with fleet[0].client() as one, fleet[1].client() as two, ThreadPoolExecutor(8) as threads:
        wait_for_room_in_the_minute(25)
        named = {"Idempotency-Key": "order-1"}
        asked = [
            threads.submit(client.post, "/v1/embeddings", json=BODY, headers=named)
            for client in (one, two) * 4
        ]
        answers = [answer.result(TIMEOUT_SECONDS) for answer in asked]
        assert {answer.status_code for answer in answers} == {200}, answers[0].text
        assert len({answer.content for answer in answers}) == 1
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        used = LIMIT - int(two.post("/v1/embeddings", json=BODY).headers["X-RateLimit-Remaining"])
        asked = [threads.submit(client.post, "/v1/embeddings", json=BODY) for client in (one, two) * LIMIT]
        statuses = [answer.result(TIMEOUT_SECONDS).status_code for answer in asked]
        assert statuses.count(200) == LIMIT - used
        assert statuses.count(429) == 2 * LIMIT - (LIMIT - used)
        again = two.post("/v1/embeddings", json=BODY, headers=named)
        assert again.content == answers[0].content
        assert again.headers["X-RateLimit-Remaining"] == "0"
