import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from nearedge import ping as module
from nearedge.ping import Reach, best_first, ping
from shared.regions import Region
from tests.shared.conftest import Certificate, certificate  # noqa: F401

pytestmark = pytest.mark.anyio

Answer = Callable[[int], Awaitable[bytes]]
"""Returns what to answer the n-th request on a server with; nothing closes the connection."""


def region(name: str, url: str = "http://127.0.0.1:1") -> Region:
    return Region(name, name.title(), "Nowhere", "CA", 43.65, -79.38, url)


def answering(status: str = "200 OK", *, seconds: float = 0.0, body: bytes = b"{}") -> Answer:
    async def answer(_number: int) -> bytes:
        await asyncio.sleep(seconds)
        return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    return answer


@asynccontextmanager
async def edge(name: str, answer: Answer, connections: list[int] | None = None) -> AsyncIterator[Region]:
    asked = 0
    open_now: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        open_now.add(asyncio.current_task())
        if connections is not None:
            connections.append(asked)
        try:
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health HTTP/1.1\r\n"):
                asked += 1
                said = await answer(asked)
                if not said:
                    break
                writer.write(said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield region(name, f"http://127.0.0.1:{port}")
    finally:
        server.close()
        await asyncio.gather(*filter(None, open_now))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def test_nearer_edges_come_first_and_those_that_do_not_answer_last() -> None:
    hung = asyncio.Event()

    async def hang(_number: int) -> bytes:
        await hung.wait()
        return b""

    async with (
        edge("far", answering(seconds=0.12)) as far,
        edge("near", answering(seconds=0.01)) as near,
        edge("hanging", hang) as hanging,
    ):
        refusing = region("refusing", f"http://127.0.0.1:{closed_port()}")
        found = await ping([hanging, refusing, far, near], count=3, timeout_seconds=0.6)
        hung.set()  # lets its server end
    assert [reach.region.id for reach in found] == ["near", "far", "hanging", "refusing"]
    closest, farthest, silent, refused = found
    assert [(reach.sent, reach.lost, reach.ready) for reach in (closest, farthest)] == [(3, 0, True)] * 2
    assert closest.median_ms is not None
    assert farthest.min_ms is not None
    assert 10 <= closest.median_ms < 120 <= farthest.min_ms < 600
    assert closest.connect_ms is not None
    assert closest.connect_ms < 120
    assert silent.connect_ms is not None
    assert silent.reason == "no answer within 0.6 s"
    assert (refused.connect_ms, refused.reason) == (None, "Connection refused")
    assert not silent.answers
    assert not refused.answers


async def test_one_connection_serves_all_round_trips_and_the_first_request_is_not_one() -> None:
    async def slow_at_first(number: int) -> bytes:
        return await answering(seconds=0.5 if number == 1 else 0.0)(number)

    connections: list[int] = []
    async with edge("yto-01", slow_at_first, connections) as yto:
        (reach,) = await ping([yto], count=4, timeout_seconds=5)
    assert connections == [0]
    assert len(reach.round_trips_ms) == 4
    assert reach.max_ms is not None
    assert reach.max_ms < 500


async def test_a_request_that_is_lost_counts_and_the_others_go_on() -> None:
    async def dropping(number: int) -> bytes:
        return b"" if number == 3 else await answering()(number)

    connections: list[int] = []
    async with edge("yto-01", dropping, connections) as yto:
        (reach,) = await ping([yto], count=4, timeout_seconds=5)
    assert (reach.sent, reach.lost, reach.ready) == (4, 1, True)
    assert len(connections) == 2
    assert reach.reason == "Server disconnected without sending a response."


async def test_an_edge_that_is_not_ready_is_measured_and_comes_after_those_that_are() -> None:
    async with (
        edge("near", answering("503 Service Unavailable")) as near,
        edge("far", answering(seconds=0.1)) as far,
    ):
        found = await ping([near, far], count=2, timeout_seconds=5)
    assert [(reach.region.id, reach.ready) for reach in found] == [("far", True), ("near", False)]
    assert found[1].answers
    assert found[1].reason == "not ready: answers 503"


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found\r\nLocation: /", "502 Bad Gateway"])
async def test_what_is_no_edge_is_told(status: str) -> None:
    async with edge("yto-01", answering(status)) as yto:
        (reach,) = await ping([yto], count=2, timeout_seconds=5)
    assert not reach.answers
    assert reach.reason == f"not an edge: /health answers {status[:3]}"


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
async def test_what_is_no_http_is_told(answer: bytes) -> None:
    async def other(_number: int) -> bytes:
        return answer

    async with edge("yto-01", other) as yto:
        (reach,) = await ping([yto], count=2, timeout_seconds=5)
    assert not reach.answers
    assert reach.reason


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    body = b"x" * (module.ANSWER_BYTES + 1)
    async with edge("yto-01", answering(body=body)) as yto:
        (reach,) = await ping([yto], count=2, timeout_seconds=5)
    assert reach.reason == "not an edge: /health answers more than 64 KiB"


async def test_an_answer_that_drips_is_lost_when_its_time_is_over() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"{")
            with anyio.move_on_after(0.02):
                await reader.read()
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with anyio.fail_after(5):
        (reach,) = await ping([region("yto-01", url)], count=2, timeout_seconds=0.2)
    server.close()
    assert reach.reason == "no answer within 0.2 s"
    await asyncio.sleep(0.1)  # lets the server see it


async def test_edges_that_hang_are_waited_for_side_by_side_but_few_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    at_once = most = 0

    async def counted(_number: int) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.2)
        at_once -= 1
        return b""

    async with edge("a", counted) as one:
        started = time.monotonic()
        found = await ping([region(name, one.url) for name in "abcd"], count=1, timeout_seconds=5)
    assert most == 2
    assert 0.4 <= time.monotonic() - started < 0.75
    assert [reach.region.id for reach in found] == ["a", "b", "c", "d"]


async def test_certificate_that_nobody_trusts_is_told(certificate: Certificate) -> None:  # noqa: F811
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    (reach,) = await ping([region("yto-01", url)], count=1, timeout_seconds=5)
    server.close()
    assert reach.reason is not None
    assert reach.reason.startswith("bad certificate: self")
    assert reach.connect_ms is None


def test_ties_go_to_the_lower_id() -> None:
    reaches = [Reach(region(name), 1.0, (5.0,), 1, ready=True) for name in ("yul-01", "nyc-01", "yto-01")]
    assert [reach.region.id for reach in best_first(reaches)] == ["nyc-01", "yto-01", "yul-01"]
