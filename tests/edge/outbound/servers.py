"""A server on the loopback that answers whatever a test wants, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from edge.outbound.addresses import Address

LOOPBACK = ip_address("127.0.0.1")
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes, *, status: str = "200 OK", **headers: str) -> bytes:
    """Return a whole answer; headers are given with underscores."""
    fields = {"Content-Type": "image/png", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


@dataclass
class Server:
    port: int
    heads: list[bytes] = field(default_factory=list)
    """The head of each request that came."""


@asynccontextmanager
async def serving(answer: bytes | Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            running.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, str(LOOPBACK), 0, ssl=tls)
    running = Server(server.sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.close()
        await server.wait_closed()


def resolving(**hosts: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[Address]]]:
    """Return a resolver of *hosts* under ``.example``."""

    async def resolve(host: str, port: int) -> Sequence[Address]:
        name = host.removesuffix(".example")
        if name not in hosts:
            raise OSError("no such host")
        return [ip_address(address) for address in hosts[name]]

    return resolve
