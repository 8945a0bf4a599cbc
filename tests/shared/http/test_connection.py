import asyncio
import http.client
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import AsyncMock, Mock

import httpx
import hypercorn.protocol
import hypercorn.protocol.h2
import pytest
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Updated

from shared.http import connection, protocols
from tests.shared.services import Service, eventually


def at_rest(service: Service) -> bool:
    """Return whether the service does nothing but answer this."""
    return service.inside()["in_flight"] == 1


def talk(service: Service, request: bytes) -> bytes:
    with service.connect() as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_closed_connection_is_let_go_at_once(service: Service) -> None:
    before = service.inside()
    for _ in range(30):
        assert httpx.get(f"{service.url}/quick").status_code == 200
    assert eventually(lambda: service.inside()["descriptors"] <= before["descriptors"] + 2)
    assert eventually(lambda: service.inside()["tasks"] <= before["tasks"] + 3)


def test_client_that_leaves_in_mid_head_is_let_go(service: Service) -> None:
    before = service.inside()["descriptors"]
    for _ in range(10):
        with service.connect() as connection:
            connection.sendall(b"GET /qui")
    assert eventually(lambda: service.inside()["descriptors"] <= before + 2)


@pytest.mark.parametrize("http2", [False, True])
def test_client_that_gives_up_leaves_nothing_behind(service: Service, http2: bool) -> None:
    before = service.inside()
    with (
        httpx.Client(http1=not http2, http2=http2, timeout=0.1) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(f"{service.url}/wait?seconds=0.3")
    assert service.inside()["in_flight"] == 2
    # Sooner than the 2 s that a write may take in this service.
    assert eventually(lambda: at_rest(service), 1.7)
    assert eventually(lambda: service.inside()["tasks"] <= before["tasks"], 1.7)


def test_client_that_reads_nothing_is_cut_off(service: Service) -> None:
    with service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        assert eventually(lambda: service.inside()["in_flight"] == 2)
        started = time.monotonic()
        assert eventually(lambda: at_rest(service), 10)
        assert time.monotonic() - started > 0.5  # a write may take 2 s in this service


@pytest.mark.parametrize(("http2", "megabytes"), [(False, 10), (True, 10), (False, 100)])
def test_upload_that_is_refused_unread_gets_its_answer(service: Service, http2: bool, megabytes: int) -> None:
    with httpx.Client(http1=not http2, http2=http2) as client:
        response = client.post(f"{service.url}/refuse", content=bytes(megabytes * 1000 * 1000))
    assert (response.status_code, response.json()["detail"]) == (401, "no")
    assert eventually(lambda: at_rest(service))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /quick HTTP/1.1\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /quick HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_what_is_not_http_is_refused_in_the_one_error_shape(
    service: Service, request_: bytes, status: int
) -> None:
    head, _, body = talk(service, request_).partition(b"\r\n\r\n")
    response = httpx.Response(status, content=body)
    assert head.startswith(b"HTTP/1.1 %d" % status)
    assert b"connection: close" in head.lower()
    assert response.json()["error"]["message"] == response.json()["detail"] != ""


def test_every_replaced_method_is_one_of_hypercorns() -> None:
    ours = [
        replacement for _, _, replacement in connection.REPLACEMENTS if replacement.__module__[:6] == "shared"
    ]
    assert len(ours) == 4
    for replacement in ours:
        (base,) = replacement.__bases__
        overrides = [name for name, value in vars(replacement).items() if hasattr(value, "__override__")]
        assert overrides
        assert [name for name in overrides if not hasattr(base, name)] == []


def test_hypercorn_without_a_replaced_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, _ in connection.REPLACEMENTS:
        monkeypatch.setattr(module, name, getattr(module, name))
    connection.install()
    assert vars(hypercorn.protocol)["H2Protocol"] is protocols.Http2
    monkeypatch.delattr(hypercorn.protocol.h2, "StreamBuffer")
    with pytest.raises(RuntimeError, match=r"no hypercorn\.protocol\.h2\.StreamBuffer"):
        connection.install()


UPGRADE = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
HANDSHAKE = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize("handshake", [HANDSHAKE, ""])
@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/size", 405), ("/quick", 200)])
def test_upgrade_to_websocket_is_a_request_like_any_other(
    service: Service, handshake: str, path: str, status: int
) -> None:
    request_id = f"req_upgrade{path}{len(handshake)}"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-ID: {request_id}\r\n{UPGRADE}{handshake}\r\n"
    with service.connect() as connected:
        # The connection is kept: a second request on it is answered too.
        for _ in range(2):
            connected.sendall(head.encode())
            answer = http.client.HTTPResponse(connected)
            answer.begin()
            body = answer.read()
            assert answer.status == status
            assert answer.headers["x-request-id"] == request_id
            if status != 200:
                told = json.loads(body)
                assert told["error"]["message"] == told["detail"] != ""

    def logged() -> list[tuple[str, int]]:
        lines = [line for line in service.lines() if line.get("request_id") == request_id]
        return [(line["path"], line["status"]) for line in lines]

    assert eventually(lambda: logged() == [(path, status)] * 2)


class Idle(connection.Connection):
    """A connection without a socket, whose idle time is 0.2 s; ``closed_after`` tells when it was closed."""

    def __init__(self) -> None:
        config, loop, missing = Config(), asyncio.get_running_loop(), AsyncMock()
        config.keep_alive_timeout = 0.2
        super().__init__(missing, loop, config, WorkerContext(None), {}, missing, missing)
        self.reader = Mock(at_eof=Mock(return_value=False))
        self.started = time.monotonic()
        self.closed_after: float | None = None

    async def _initiate_server_close(self) -> None:
        self.closed_after = time.monotonic() - self.started


@asynccontextmanager
async def idling() -> AsyncIterator[Idle]:
    idle = Idle()
    async with TaskGroup(idle.loop) as group:
        idle._task_group = group
        await idle.idle_task.restart(group, idle._idle_timeout)
        yield idle
        await idle.idle_task.stop()


@pytest.mark.anyio
async def test_idle_connection_is_closed_in_time() -> None:
    async with idling() as idle:
        await asyncio.sleep(0.5)
    assert idle.closed_after == pytest.approx(0.2, abs=0.1)


@pytest.mark.anyio
async def test_idle_time_counts_from_the_last_request() -> None:
    async with idling() as idle:
        await asyncio.sleep(0.1)
        await idle.protocol_send(Updated(idle=False))
        await asyncio.sleep(0.5)
        assert idle.closed_after is None
        await idle.protocol_send(Updated(idle=True))
        await asyncio.sleep(0.5)
    assert idle.closed_after == pytest.approx(0.8, abs=0.1)


@pytest.mark.anyio
async def test_stopping_server_closes_idle_connections_at_once_and_busy_ones_after_their_request() -> None:
    async with idling() as idle, idling() as busy:
        await busy.protocol_send(Updated(idle=False))
        await asyncio.sleep(0.05)
        await idle.context.terminated.set()
        await busy.context.terminated.set()
        await asyncio.sleep(0.05)
        assert idle.closed_after is not None
        assert busy.closed_after is None
        await busy.protocol_send(Updated(idle=True))
        await asyncio.sleep(0.05)
        assert busy.closed_after is not None
