"""Edges that exist only as far as an autorouter looks: loopback servers that say what they are told."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from shared.edge_status import EdgeStatus, ModelStatus, encode
from shared.regions import Region

Answer = Callable[[ByteStream], Awaitable[None]]
"""Writes an answer after a request's head has been read; raises EndOfStream to close the connection."""


@dataclass
class Edge:
    """``heads`` are those of the requests so far, ``opened`` and ``open`` count connections."""

    port: int
    kill: Callable[[], Awaitable[None]]
    """Have the port refused and every connection cut."""
    heads: list[str] = field(default_factory=list)
    opened: int = 0
    open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def region(self, region_id: str = "a-01") -> Region:
        return region(region_id, self.url)


def region(region_id: str, url: str = "http://127.0.0.1:9") -> Region:
    return Region(region_id, "A", "Here", "CA", 1.0, 2.0, url)


def status(region_id: str = "a-01", *, draining: bool = False, in_flight: int = 0) -> EdgeStatus:
    model = ModelStatus(id="m", names=("m",), state="loaded", in_flight=in_flight, soft_limit=10, limit=20)
    return EdgeStatus(region=region_id, draining=draining, models=(model,))


def response(body: bytes, code: int = 200, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def answering(data: bytes) -> Answer:
    async def answer(stream: ByteStream) -> None:
        await stream.send(data)

    return answer


def well(region_id: str = "a-01") -> Answer:
    return answering(response(encode(status(region_id))))


async def hanging(stream: ByteStream) -> None:
    """Answer nothing, until the client leaves."""
    while True:
        await stream.receive()


@asynccontextmanager
async def edge(answer: Answer, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Edge]:
    """Serve *answer* to every request, until the context ends."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)

    async def handle(stream: ByteStream) -> None:
        made.opened += 1
        made.open += 1
        try:
            async with stream:
                while True:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += await stream.receive()
                    made.heads.append(head.decode())
                    await answer(stream)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        finally:
            made.open -= 1

    serving, ended = anyio.CancelScope(), anyio.Event()

    async def serve() -> None:
        with serving:
            await (listener if tls is None else TLSListener(listener, tls)).serve(handle)
        ended.set()

    async def kill() -> None:
        serving.cancel()
        await ended.wait()
        await listener.aclose()

    made = Edge(listener.extra(SocketAttribute.local_port), kill)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        yield made
        serving.cancel()


async def eventually(true: Callable[[], bool], within_seconds: float = 20.0) -> None:
    """Wait until *true* is."""
    with anyio.fail_after(within_seconds):
        while not true():
            await anyio.sleep(0.01)
