"""An edge that is told to stop: its health fails first, streams finish, and it ends well."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest

from tests.e2e.errors import assert_error
from tests.e2e.events import ENDLESS, events
from tests.e2e.services import STOP_SECONDS, LoneEdge

StartEdge = Callable[..., AbstractContextManager[LoneEdge]]
STREAM = ENDLESS | {"stream": True}


def tokens_of(seconds: float, http: httpx.Client) -> int:
    """Return how many tokens this machine makes in about that time, within reason."""
    http.post("/v1/completions", json=ENDLESS | {"max_tokens": 1})
    started = time.monotonic()
    http.post("/v1/completions", json=ENDLESS | {"max_tokens": 20})
    return min(4000, max(300, round(20 * seconds / (time.monotonic() - started))))


def test_a_stream_outlives_sigterm(lone_edge: StartEdge) -> None:
    with lone_edge(drain_delay_seconds=1, drain_seconds=90) as edge, edge.client() as http:
        family = edge.service.family()
        tokens = tokens_of(5, http)
        with http.stream("POST", "/v1/completions", json=STREAM | {"max_tokens": tokens}) as answer:
            received = events(answer)
            next(received)
            edge.service.process.send_signal(signal.SIGTERM)

            while (health := httpx.get(f"{edge.url}/health")).status_code == 200:
                time.sleep(0.01)
            assert health.status_code == 503
            assert health.json()["status"] == "unhealthy"
            assert health.json()["error"]["code"] == "shutting_down"
            assert int(health.headers["retry-after"]) > 0

            # Whoever comes all the same is still served for a while, and then sent elsewhere.
            assert http.get("/v1/models").status_code == 200
            while (late := http.get("/v1/models")).status_code == 200:
                time.sleep(0.05)
            assert_error(late, 503, "another edge")

            *_, last = received
        assert last["choices"][0]["finish_reason"] == "length"
        assert last["usage"]["completion_tokens"] == tokens
        edge.service.expect_end(family)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_edge_stops_at_once(lone_edge: StartEdge, number: signal.Signals) -> None:
    with lone_edge(drain_delay_seconds=0) as edge:
        started = time.monotonic()
        edge.service.stop(number)
        assert time.monotonic() - started < 20


def test_a_stream_without_end_is_cut_at_the_stated_time(lone_edge: StartEdge) -> None:
    with lone_edge(drain_delay_seconds=0, drain_seconds=1) as edge, edge.client() as http:
        family = edge.service.family()
        with http.stream("POST", "/v1/completions", json=STREAM) as answer:
            received = events(answer)
            next(received)
            started = time.monotonic()
            edge.service.process.send_signal(signal.SIGTERM)
            edge.service.expect_end(family)
            assert time.monotonic() - started < STOP_SECONDS / 2
            # What was under way is not taken for whole.
            with pytest.raises(httpx.RemoteProtocolError):
                list(received)


def test_a_second_signal_ends_the_wait(lone_edge: StartEdge) -> None:
    with lone_edge(drain_delay_seconds=0, drain_seconds=300) as edge, edge.client() as http:
        family = edge.service.family()
        with http.stream("POST", "/v1/completions", json=STREAM) as answer:
            received = events(answer)
            next(received)
            edge.service.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            edge.service.process.send_signal(signal.SIGTERM)
            edge.service.expect_end(family)
