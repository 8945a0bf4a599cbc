"""Runs one ASGI app on Hypercorn until the process is told to stop."""

import asyncio
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable

import anyio
import structlog
import uvloop
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError
from starlette.types import ASGIApp
from typing_extensions import override

from shared.http import connection
from shared.http.drain import Drain
from shared.settings import CommonSettings

log = structlog.get_logger(__name__)

KEEP_ALIVE_SECONDS = 20.0
"""Longer than httpx keeps an idle connection (5 s), so that the client and not the server lets go of it."""

CUT_SECONDS = 0.5
"""What connections that outlived the drain get before they are cut."""

GARBAGE_THRESHOLDS = (20_000, 20, 20)
"""When the garbage collector looks for cycles: Python's own 700 objects are those of a few requests."""

HANDSHAKE_SECONDS = 10.0
BACKLOG = 512


class ServerConfig(Config):
    """Hypercorn's settings; the headers that it adds to every answer are made once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._headers: dict[str, list[tuple[bytes, bytes]]] = {}

    @override
    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._headers.clear()
        if protocol not in self._headers:
            self._headers[protocol] = super().response_headers(protocol)
        return self._headers[protocol].copy()


class StartError(Exception):
    """The service did not start; the message says why."""


class BindError(Exception):
    """The address cannot be bound; the message says which and why."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        BindError: the port is taken, not permitted, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise BindError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def run(app: ASGIApp, listener: socket.socket, *, drain: Drain, settings: CommonSettings) -> None:
    """Serve *app* on *listener*, and close it, until SIGTERM or SIGINT; then drain and return.

    HTTP/1.1 and HTTP/2 (by ALPN over TLS, by prior knowledge without), on uvloop. SIGTERM fails readiness
    for ``drain_delay_seconds`` before new requests are refused; SIGINT skips that. Either way running
    requests get ``drain_seconds`` before they are cut; a second signal cuts them at once.

    Raises:
        StartError: the app's lifespan failed.
    """
    connection.install()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, listener, drain, settings))


async def _serve(app: ASGIApp, listener: socket.socket, drain: Drain, settings: CommonSettings) -> None:
    host, port = listener.getsockname()[:2]
    config = ServerConfig()
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = BACKLOG
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    # Hypercorn ends an HTTP/2 connection at its limit with the streams on it; see protocols.RESETS instead.
    config.keep_alive_max_requests = sys.maxsize
    config.ssl_handshake_timeout = HANDSHAKE_SECONDS
    config.graceful_timeout = CUT_SECONDS
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    if settings.tls_cert is not None and settings.tls_key is not None:
        config.certfile = str(settings.tls_cert)
        config.keyfile = str(settings.tls_key)
    log.info("listening", host=host, port=port, tls=config.ssl_enabled)
    # What is there now stays for good: looking through all of it again and again would stop every request
    # for tens of milliseconds. What requests leave behind is little.
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        await hypercorn_serve(app, config, shutdown_trigger=_stopper(drain, settings))  # type: ignore[arg-type]
    except LifespanFailureError as error:
        raise StartError(_last_line(error)) from error
    log.info("stopped")


def _stopper(drain: Drain, settings: CommonSettings) -> Callable[[], Awaitable[None]]:
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)

    async def wait() -> None:
        first = await signals.get()
        delay = settings.drain_delay_seconds if first is signal.SIGTERM else 0.0
        log.info("draining", signal=first.name, in_flight=drain.in_flight)
        async with anyio.create_task_group() as tasks:

            async def hurry() -> None:
                await signals.get()
                tasks.cancel_scope.cancel()

            tasks.start_soon(hurry)
            await drain.run(delay, settings.drain_seconds)
            tasks.cancel_scope.cancel()
        log.info("drained", cut=drain.in_flight)

    return wait


def _last_line(error: LifespanFailureError) -> str:
    """Return the message of what the app raised: Hypercorn passes on its traceback as text, in quotes.

    In a traceback of an exception group a frame is drawn around each exception; the last is the innermost.
    """
    lines = (line.lstrip(" |+-") for line in str(error).strip("' \n").splitlines())
    line = [line for line in lines if line][-1]
    return line.partition(": ")[2] or line
