import secrets
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import hypercorn.config
import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from shared import server
from shared.http.drain import Drain
from shared.settings import CommonSettings
from tests.shared.conftest import Certificate
from tests.shared.services import Service, eventually, read_all, serving

CUT_SLACK_SECONDS = 1.5
"""Of a busy machine, on top of what the server states."""


def test_bind_names_the_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            server.BindError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"
        ):
            server.bind("127.0.0.1", port)


def test_bind_names_the_address_that_is_of_another_machine() -> None:
    with pytest.raises(server.BindError, match=r"cannot listen on 203\.0\.113\.1:0"):
        server.bind("203.0.113.1", 0)


def test_bind_takes_ipv6() -> None:
    with server.bind("::1", 0) as listener:
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


def test_answers_carry_the_time_of_their_second(monkeypatch: pytest.MonkeyPatch) -> None:
    config = server.ServerConfig()
    config.include_server_header = False
    dates = []
    for now in (0.0, 0.9, 1.0):
        for module in (time, hypercorn.config):
            monkeypatch.setattr(module, "time", lambda now=now: now)
        dates.append(config.response_headers("h11"))
        config.response_headers("h11").append((b"x", b"of one answer"))
    assert dates == [
        [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")],
        [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")],
        [(b"date", b"Thu, 01 Jan 1970 00:00:01 GMT")],
    ]


def test_failed_lifespan_is_told_in_a_line() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "Traceback …\nOSError: the disk is full\n"})

    with (
        server.bind("127.0.0.1", 0) as listener,
        pytest.raises(server.StartError, match=r"^the disk is full$"),
    ):
        server.run(app, listener, drain=Drain(), settings=CommonSettings())


def test_failed_lifespan_in_a_task_group_is_told_in_a_line() -> None:
    async def fail() -> None:
        raise OSError("the disk is full")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
            inner.start_soon(fail)
            outer.start_soon(anyio.sleep, 0)
        yield

    with (
        server.bind("127.0.0.1", 0) as listener,
        pytest.raises(server.StartError, match=r"^the disk is full$"),
    ):
        server.run(Starlette(lifespan=lifespan), listener, drain=Drain(), settings=CommonSettings())


def test_http1_and_http2_by_prior_knowledge(service: Service) -> None:
    with httpx.Client() as one, httpx.Client(http1=False, http2=True) as two:
        assert [client.get(f"{service.url}/quick").http_version for client in (one, two)] == [
            "HTTP/1.1",
            "HTTP/2",
        ]


def test_tls_negotiates_http2_and_http1(tmp_path: Path, certificate: Certificate) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate.cert))
    with serving(tmp_path, tls_cert=certificate.cert, tls_key=certificate.key) as running:
        for http2, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
            with httpx.Client(http2=http2, verify=trusting) as client:
                assert client.get(f"{running.url}/quick").http_version == version
        with running.connect() as plain:
            plain.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in plain.recv(1000)
        with httpx.Client(http2=True, verify=trusting) as idle:
            assert idle.get(f"{running.url}/quick").status_code == 200
            started = time.monotonic()
            assert running.stop(signal.SIGINT) == 0
            assert time.monotonic() - started < CUT_SLACK_SECONDS
        assert running.errors() == []


def test_connections_that_wait_do_not_delay_the_end(tmp_path: Path) -> None:
    with (
        serving(tmp_path, drain_delay_seconds=0) as running,
        httpx.Client() as one,
        httpx.Client(http1=False, http2=True) as two,
        running.connect(),
        running.connect() as half,
    ):
        half.sendall(b"GET /qui")
        for client in (one, two):
            assert client.get(f"{running.url}/quick").status_code == 200
        started = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started < CUT_SLACK_SECONDS
        assert running.errors() == []


def test_drain_fails_readiness_first_then_refuses_and_lets_streams_end(tmp_path: Path) -> None:
    with (
        serving(tmp_path, drain_delay_seconds=0.8, drain_seconds=10) as running,
        httpx.Client() as client,
        httpx.Client(http1=False, http2=True) as multiplexed,
        httpx.stream("GET", f"{running.url}/stream?chunks=25") as stream,
    ):
        kept = client.get(f"{running.url}/quick")
        assert "connection" not in kept.headers
        assert multiplexed.get(f"{running.url}/quick").status_code == 200
        rest = stream.iter_lines()
        assert next(rest) == "0"

        running.process.send_signal(signal.SIGTERM)
        signalled = time.monotonic()
        assert eventually(lambda: client.get(f"{running.url}/health").status_code == 503, 0.5)
        served = client.get(f"{running.url}/quick")
        assert (served.status_code, served.headers["connection"]) == (200, "close")

        assert eventually(lambda: client.get(f"{running.url}/quick").status_code == 503)
        assert time.monotonic() - signalled >= 0.8
        refused = client.get(f"{running.url}/quick")
        assert refused.json()["error"]["code"] == "shutting_down"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["connection"] == "close"
        refused = multiplexed.get(f"{running.url}/quick")
        assert (refused.status_code, refused.http_version) == (503, "HTTP/2")
        assert "connection" not in refused.headers

        assert list(rest) == [str(number) for number in range(1, 25)]
        assert running.process.wait(5) == 0
        assert running.errors() == []


def cut_after(running: Service, act: Callable[[], None]) -> float:
    """Return the seconds from *act* until an endless stream is cut, and see that the service then ends."""
    with httpx.stream("GET", f"{running.url}/stream?chunks=1000") as stream:
        rest = stream.iter_lines()
        next(rest)
        act()
        acted = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            list(rest)
        seconds = time.monotonic() - acted
    assert running.process.wait(5) == 0
    return seconds


def test_stream_that_outlives_the_drain_is_cut_at_the_stated_time(tmp_path: Path) -> None:
    with serving(tmp_path, drain_delay_seconds=0.2, drain_seconds=0.8) as running:
        seconds = cut_after(running, lambda: running.process.send_signal(signal.SIGTERM))
        assert 1.0 <= seconds <= 1.0 + server.CUT_SECONDS + CUT_SLACK_SECONDS
        (drained,) = [line for line in running.lines() if line["event"] == "drained"]
        assert drained["cut"] == 1
        assert running.errors() == []


def test_a_stream_over_http1_0_that_is_cut_does_not_look_complete(tmp_path: Path) -> None:
    with serving(tmp_path, drain_delay_seconds=0, drain_seconds=0) as running:
        with running.connect() as connection:
            connection.sendall(b"GET /stream?chunks=1000 HTTP/1.0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            running.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionResetError):
                read_all(connection)
        assert running.process.wait(5) == 0
        assert running.errors() == []


def test_sigint_skips_the_delay(tmp_path: Path) -> None:
    with serving(tmp_path, drain_delay_seconds=60, drain_seconds=0) as running:
        seconds = cut_after(running, lambda: running.process.send_signal(signal.SIGINT))
        assert seconds <= server.CUT_SECONDS + CUT_SLACK_SECONDS


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_cuts_at_once(tmp_path: Path, first: signal.Signals) -> None:
    with serving(tmp_path, drain_delay_seconds=60, drain_seconds=60) as running:

        def act() -> None:
            running.process.send_signal(first)
            assert eventually(lambda: any(line["event"] == "draining" for line in running.lines()))
            running.process.send_signal(signal.SIGTERM)

        assert cut_after(running, act) <= server.CUT_SECONDS + CUT_SLACK_SECONDS


def parts(megabytes: int) -> Iterator[bytes]:
    for _ in range(megabytes):
        yield bytes(1000 * 1000)


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_client_reads_the_refusal_of_its_10_mb(service: Service, http2: bool, chunked: bool) -> None:
    with httpx.Client(http1=not http2, http2=http2) as client:
        body = parts(10) if chunked else b"".join(parts(10))
        refused = client.post(f"{service.url}/size", content=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
        assert client.post(f"{service.url}/size", content=b"four").json() == 4


def test_body_that_stops_coming_is_refused_in_time(service: Service) -> None:
    started = time.monotonic()
    with service.connect() as connection:
        connection.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
    assert 1 <= time.monotonic() - started < 1 + CUT_SLACK_SECONDS


def test_client_that_leaves_in_mid_body_is_no_error(service: Service) -> None:
    request_id = "req_leaves_in_mid_body"
    head = f"POST /size HTTP/1.1\r\nHost: x\r\nX-Request-ID: {request_id}\r\nContent-Length: 9\r\n\r\n"
    with service.connect() as connection:
        connection.sendall(head.encode() + b"half")

    def logged() -> list[dict[str, Any]]:
        return [line for line in service.lines() if line.get("request_id") == request_id]

    assert eventually(lambda: len(logged()) > 0)
    (line,) = logged()
    assert (line["event"], line["level"], line["status"]) == ("request", "info", 499)


def test_key_is_nowhere_in_the_log_of_a_service(service: Service) -> None:
    key = "pg_" + secrets.token_urlsafe(32)
    headers = {"Authorization": f"Bearer {key}", "X-Request-ID": key, "Cookie": key, "User-Agent": key}
    for path in (f"/quick?key={key}", f"/{key}", f"/v1/{key}?{key}#{key}", f"//{key}/"):
        httpx.get(f"{service.url}{path}", headers=headers)
    httpx.post(f"{service.url}/size", content=key * 10, headers=headers)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{service.url}/broken?{key}", headers=headers)
    with service.connect() as connection:
        connection.sendall(f"GET /{key} HTTP/9.9\r\n{key}\r\n\r\n".encode())
        connection.recv(1000)
    assert eventually(lambda: any(line["path"] == "/broken" for line in service.lines() if "path" in line))
    log = service.log.read_text()
    assert "/pg_***" in log
    assert key[3:] not in log
