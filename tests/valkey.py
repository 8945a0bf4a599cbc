"""The Valkey or Redis that tests count in: the one on the standard port, with keys of their own."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

HOST, PORT = "127.0.0.1", 6379
VALKEY_URL = f"redis://{HOST}:{PORT}/0"


def _reachable() -> bool:
    try:
        socket.create_connection((HOST, PORT), timeout=1).close()
    except OSError:
        return False
    return True


class LateStore:
    """The Valkey of the tests, whose answers are held back as long as :attr:`answers` is not set."""

    def __init__(self) -> None:
        self.url = ""
        self.answers = asyncio.Event()
        self.answers.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LateStore"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        async with server:
            yield self
            self.answers.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(HOST, PORT)
        answering = asyncio.create_task(self._pass_on(their_reader, writer, self.answers))
        await self._pass_on(reader, their_writer)
        await answering

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


needs_valkey = pytest.mark.skipif(
    not os.environ.get("CI") and not _reachable(), reason=f"needs a Valkey or Redis at {HOST}:{PORT}"
)
"""Skips where there is none; under CI the tests run, and fail, all the same."""
