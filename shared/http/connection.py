"""One client's connection, as Hypercorn 0.18 serves it, with its faults mended."""

import asyncio
from types import ModuleType

import hypercorn.asyncio.run
import hypercorn.protocol.h2
import hypercorn.protocol.http_stream
import structlog
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from typing_extensions import override

from shared.http import protocols

log = structlog.get_logger(__name__)


class Connection(TCPServer):
    """Ends when its client ends it, within a stated time, and keeps its failure to itself.

    Hypercorn keeps the socket of a client that has left until its idle timer runs out, waits for ever for a
    client that reads nothing, and lets the failure of one connection end the whole server at shutdown.
    """

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
        elif isinstance(event, Updated) and event.idle and self.reader.at_eof():
            await self.idle_task.stop()
        else:
            await super().protocol_send(event)

    async def _write(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                for start in range(0, len(data), protocols.PIECE_BYTES):
                    self.writer.write(data[start : start + protocols.PIECE_BYTES])
                    async with asyncio.timeout(protocols.WRITE_SECONDS):
                        await self.writer.drain()
                return
            except TimeoutError:
                self.writer.transport.abort()
            except (ConnectionError, RuntimeError):
                pass
        await self.protocol.handle(Closed())

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
