"""One client's connection, as Hypercorn 0.18 serves it, with its faults mended."""

import asyncio
import contextlib
import socket
import struct
from types import ModuleType
from typing import Any

import hypercorn.asyncio.run
import hypercorn.protocol.h2
import hypercorn.protocol.http_stream
import structlog
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from typing_extensions import override

from shared.http import protocols

log = structlog.get_logger(__name__)


ROOM_BYTES = 32 * 1024
"""What may wait to be sent before its sender waits too: less than the 64 KiB of a transport's own limit."""


_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""``struct linger``: on, for no seconds."""


class Connection(TCPServer):
    """Ends when its client ends it, within a stated time, and keeps its failure to itself.

    Hypercorn keeps the socket of a client that has left until its idle timer runs out, waits for ever for a
    client that reads nothing, and lets the failure of one connection end the whole server at shutdown. It
    also starts a task after each request that ends the connection in time, and cancels it before the next;
    here one task does that as long as the connection lasts.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle_since: float | None = self.loop.time()
        """None while a request is under way."""

    @override
    async def run(self) -> None:
        try:
            await super().run()
        except asyncio.CancelledError:
            log.info("connection cut")
        except Exception:
            log.exception("connection failed")

    @override
    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, protocols.Reset):
            self._reset()
        elif not isinstance(event, Updated):
            await super().protocol_send(event)
        elif not event.idle:
            self._idle_since = None
        elif self.reader.at_eof():
            await self.idle_task.stop()
        else:
            self._idle_since = self.loop.time()
            if self.context.terminated.is_set():
                await self.idle_task.restart(self._task_group, self._idle_timeout)

    @override
    async def _idle_timeout(self) -> None:
        """Close the connection once it has been idle for too long, or when the server stops if it is idle."""
        seconds = self.config.keep_alive_timeout
        while (rest := (self._idle_since or self.loop.time()) + seconds - self.loop.time()) > 0:
            try:
                async with asyncio.timeout(rest):
                    await self.context.terminated.wait()
            except TimeoutError:
                continue
            if self._idle_since is None:
                return
            break
        await asyncio.shield(self._initiate_server_close())

    async def _write(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                for start in range(0, len(data), protocols.PIECE_BYTES):
                    self.writer.write(data[start : start + protocols.PIECE_BYTES])
                    if self._has_room():
                        continue
                    async with asyncio.timeout(protocols.WRITE_SECONDS):
                        await self.writer.drain()
                return
            except TimeoutError:
                self.writer.transport.abort()
            except (ConnectionError, RuntimeError):
                pass
        await self.protocol.handle(Closed())

    def _reset(self) -> None:
        """End the connection with a reset, which a client cannot take for an orderly end."""
        if self.writer.transport.is_closing():
            return
        connection: socket.socket = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # its client was faster
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.writer.transport.abort()

    def _has_room(self) -> bool:
        """Whether there is nothing to wait for: a deadline costs more than sending most answers does."""
        transport = self.writer.transport
        return not transport.is_closing() and transport.get_write_buffer_size() <= ROOM_BYTES

    @override
    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    @override
    async def _close(self) -> None:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Being cut, it does not wait for the client to agree, as TLS would.
            self.writer.transport.abort()
        try:
            async with asyncio.timeout(protocols.WRITE_SECONDS):
                await super()._close()
        except TimeoutError:
            pass
        finally:
            self.writer.transport.abort()


REPLACEMENTS: tuple[tuple[ModuleType, str, type], ...] = (
    (hypercorn.asyncio.run, "TCPServer", Connection),
    (hypercorn.protocol, "H11Protocol", protocols.Http1),
    (hypercorn.protocol, "H2Protocol", protocols.Http2),
    (hypercorn.protocol.h2, "StreamBuffer", protocols.Buffer),
    # CONNECT, which opens a WebSocket in HTTP/2, is a verb like any other here.
    (hypercorn.protocol.h2, "WSStream", hypercorn.protocol.http_stream.HTTPStream),
)
"""Modules of Hypercorn, names in them, and the classes that take their places."""


def install() -> None:
    """Have Hypercorn serve with these classes: it offers no other way to choose them.

    Raises:
        RuntimeError: this Hypercorn has no such names.
    """
    for module, name, replacement in REPLACEMENTS:
        if not isinstance(vars(module).get(name), type):
            raise RuntimeError(f"this Hypercorn has no {module.__name__}.{name}; 0.18 is needed")
        setattr(module, name, replacement)
