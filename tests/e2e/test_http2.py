"""An edge speaks HTTP/2 to those who know it beforehand."""

import json
import socket
from collections.abc import Iterator

import h2.connection
import h2.events
import httpx
import pytest

from tests.e2e.errors import assert_error
from tests.e2e.events import ENDLESS, events
from tests.e2e.grids import Grid
from tests.e2e.services import TIMEOUT_SECONDS

COMPLETIONS = "/v1/completions"


@pytest.fixture
def http2(grid: Grid, edge_url: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {grid.inference_key}"}
    with httpx.Client(
        base_url=edge_url, headers=headers, http1=False, http2=True, timeout=TIMEOUT_SECONDS
    ) as client:
        yield client


def test_a_stream_and_other_requests_share_a_connection(http2: httpx.Client) -> None:
    with http2.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True, "max_tokens": 30}) as answer:
        assert answer.http_version == "HTTP/2"
        received = events(answer)
        next(received)
        assert http2.get("/v1/models").status_code == 200
        *_, last = received

    assert last["usage"]["completion_tokens"] == 30


def test_one_who_resets_a_stream_frees_the_worker(grid: Grid, edge_url: str, http2: httpx.Client) -> None:
    # httpx closes streams of HTTP/2 without telling the server, so this speaks to the socket itself.
    with socket.create_connection(("127.0.0.1", int(edge_url.rpartition(":")[2])), TIMEOUT_SECONDS) as wire:
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        body = json.dumps(ENDLESS | {"stream": True}).encode()
        connection.send_headers(
            1,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "localhost"),
                (":path", COMPLETIONS),
                ("authorization", f"Bearer {grid.inference_key}"),
            ],
        )
        connection.send_data(1, body, end_stream=True)
        wire.sendall(connection.data_to_send())
        received = 0
        while received < 3:
            happened = connection.receive_data(wire.recv(65536))
            received += sum(isinstance(event, h2.events.DataReceived) for event in happened)
            wire.sendall(connection.data_to_send())
        connection.reset_stream(1)
        wire.sendall(connection.data_to_send())

        # The connection stays open, and the worker is free all the same.
        again = http2.post(COMPLETIONS, json=ENDLESS | {"max_tokens": 1}, timeout=20)
        assert again.status_code == 200


def test_errors_look_the_same(http2: httpx.Client) -> None:
    assert_error(http2.post(COMPLETIONS, json={}), 400, "required")
    assert_error(http2.post(COMPLETIONS, content=bytes(10_000_000)), 413, "larger than the limit")
    assert_error(http2.get("/v1/nothing"), 404, "There is nothing at GET")
