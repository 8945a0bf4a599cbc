import json
import time
from collections import Counter

import anyio
import h2.config
import h2.connection
import h2.events
import h11
import httpx
import psutil
import pytest
from h2.errors import ErrorCodes

from shared.http import protocols
from tests.shared.services import Service, eventually, read_all

HEAD = [(":scheme", "http"), (":authority", "x")]


def connect() -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    return connection


def at_rest(service: Service) -> bool:
    return service.inside()["in_flight"] == 1


@pytest.mark.anyio
async def test_failure_in_mid_answer_ends_its_stream_alone(service: Service) -> None:
    async with (
        httpx.AsyncClient(http1=False, http2=True, timeout=5) as client,
        client.stream("GET", f"{service.url}/stream?chunks=8") as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == "0"
        with pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
            await client.get(f"{service.url}/broken")
        assert [line async for line in lines] == [str(number) for number in range(1, 8)]


@pytest.mark.parametrize(
    "header", [(b"x", b"a\r\nset-cookie: b"), (b"bad name", b"a"), (b"content-length", b"-1")]
)
def test_header_that_would_break_out_is_refused_each_time(header: tuple[bytes, bytes]) -> None:
    for _ in range(2):
        with pytest.raises(h11.LocalProtocolError):
            protocols._checked(header)


def test_checked_header_is_as_h11_has_it() -> None:
    assert protocols._checked((b"ETag", b'"a"')) == (b"ETag", b"etag", b'"a"')


def test_failure_in_mid_answer_is_seen_over_http1(service: Service) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{service.url}/broken")


def test_failure_in_mid_answer_is_seen_over_http1_0_where_the_end_of_the_connection_ends_an_answer(
    service: Service,
) -> None:
    with service.connect() as connection:
        connection.sendall(b"GET /broken HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_all(connection)
    assert eventually(lambda: at_rest(service))


def test_an_answer_that_is_complete_ends_well_over_http1_0(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(b"GET /stream?chunks=3 HTTP/1.0\r\n\r\n")
        answer = read_all(connection)
    assert answer.endswith(b"\r\n\r\n0\n1\n2\n")
    assert b"chunked" not in answer.lower()


@pytest.mark.anyio
async def test_many_requests_on_one_connection_all_get_their_answers(service: Service) -> None:
    statuses: Counter[int] = Counter()
    async with httpx.AsyncClient(http1=False, http2=True, timeout=20) as client:

        async def ask() -> None:
            for _ in range(60):
                statuses[(await client.get(f"{service.url}/quick")).status_code] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
    assert statuses == {200: 1200}


def test_client_that_opens_no_window_is_cut_off(service: Service) -> None:
    before = psutil.Process(service.process.pid).memory_info().rss
    connection = connect()
    connection.send_headers(1, [(":method", "GET"), (":path", "/flood"), *HEAD], end_stream=True)
    with service.connect() as opened:
        opened.sendall(connection.data_to_send())
        assert eventually(lambda: service.inside()["in_flight"] == 2)
        assert eventually(lambda: at_rest(service), 10)
    # All that left is the window of 64 KiB that a client opens unasked.
    assert psutil.Process(service.process.pid).memory_info().rss < before + 20 * 1000 * 1000


def test_client_that_resets_stream_after_stream_is_closed(service: Service) -> None:
    connection = connect()
    answers: list[h2.events.Event] = []
    with service.connect() as opened:
        for number in range(protocols.RESETS + 50):
            stream_id = 2 * number + 1
            connection.send_headers(
                stream_id, [(":method", "GET"), (":path", "/wait?seconds=0.1"), *HEAD], end_stream=True
            )
            connection.reset_stream(stream_id)
            if number % 50 == 0:
                opened.sendall(connection.data_to_send())
        opened.sendall(connection.data_to_send())
        while data := opened.recv(65536):
            answers += connection.receive_data(data)
    (ended,) = [answer for answer in answers if isinstance(answer, h2.events.ConnectionTerminated)]
    assert ended.error_code is ErrorCodes.ENHANCE_YOUR_CALM
    assert eventually(lambda: at_rest(service))


def test_body_that_goes_on_after_its_answer_disturbs_no_other_stream(service: Service) -> None:
    connection = connect()
    with service.connect() as opened:
        connection.send_headers(1, [(":method", "POST"), (":path", "/nowhere"), *HEAD])
        opened.sendall(connection.data_to_send())
        assert eventually(lambda: at_rest(service))  # its body's second is over, and with it the stream
        connection.send_data(1, bytes(1000))
        connection.send_headers(3, [(":method", "GET"), (":path", "/quick"), *HEAD], end_stream=True)
        opened.sendall(connection.data_to_send())
        statuses = {}
        while 3 not in statuses:
            data = opened.recv(65536)
            assert data
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    statuses[event.stream_id] = dict(event.headers)[b":status"]
    assert statuses[3] == b"200"


@pytest.mark.parametrize(
    "extra", [[], [(":path", "/nowhere"), (":scheme", "http"), (":protocol", "websocket")]]
)
def test_connect_is_refused_like_any_other_verb(service: Service, extra: list[tuple[str, str]]) -> None:
    connection = connect()
    answers: dict[bytes, bytes] = {}
    body = b""
    with service.connect() as opened:
        opened.sendall(connection.data_to_send())
        connection.receive_data(opened.recv(65536))
        connection.send_headers(1, [(":method", "CONNECT"), (":authority", "x"), *extra], end_stream=True)
        opened.sendall(connection.data_to_send())
        while not body:
            data = opened.recv(65536)
            assert data
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    answers = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
    assert answers[b":status"] == b"404"
    assert answers[b"x-request-id"]
    assert json.loads(body)["error"]["code"] == "not_found"


def test_head_does_not_wait_for_a_late_body(service: Service) -> None:
    with service.connect() as client:
        asked = time.monotonic()
        client.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = client.recv(65536)
        assert time.monotonic() - asked < 0.8
        assert head.startswith(b"HTTP/1.1 200")
        assert head.endswith(b"\r\n\r\n")
        rest = b"".join(iter(lambda: client.recv(65536), b""))
    assert rest == b"4\r\nlate\r\n0\r\n\r\n"


def test_small_answer_comes_in_one_piece(service: Service) -> None:
    with service.connect() as client:
        for _ in range(3):
            client.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).endswith(b"\r\n\r\nok")
