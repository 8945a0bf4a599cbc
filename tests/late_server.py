"""A server whose answers come late, or never."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self


class LateServer:
    """The server at *host* and *port*, seen at :attr:`port` here. Its answers are held back as long as
    :attr:`answers` is not set.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.port = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self._serving: set[asyncio.Future[Any]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            self.answers.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(*self._server)
        both = asyncio.gather(
            self._pass_on(their_reader, writer, self.answers), self._pass_on(reader, their_writer)
        )
        self._serving.add(both)
        await both

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event | None = None
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if gate is not None:
                    await gate.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
