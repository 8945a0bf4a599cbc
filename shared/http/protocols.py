"""HTTP/1.1 and HTTP/2 as Hypercorn 0.18 speaks them, with its faults mended."""

import asyncio
import re
from functools import lru_cache
from typing import Any

import h2.events
import h11
import structlog
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h11._headers import Headers
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import BUFFER_LOW_WATER, H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import H11SendableEvent
from typing_extensions import override

from shared.errors import error_for_status, error_response

log = structlog.get_logger(__name__)

WRITE_SECONDS = 60.0
"""How long a client may take to receive one piece of an answer before it counts as gone."""

PIECE_BYTES = 32 * 1024

RESETS = 1000
"""Unanswered streams that a client may reset on one HTTP/2 connection before it is closed, if they are also
most of its streams: CVE-2023-44487."""


_VISIBLE = re.compile(rb"[\x21-\x7e]+")


def _checked(header: tuple[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    """Return *header* as h11 keeps it, once it is clear that h11 finds that it may be sent.

    h11 takes longer over headers than over all else of an answer.
    """
    raw_name, value = header
    name = _plain_name(raw_name)
    if name is not None and _VISIBLE.fullmatch(value):
        return raw_name, name, value
    return _checked_by_h11(header)


@lru_cache(maxsize=1024)
def _plain_name(raw_name: bytes) -> bytes | None:
    """Return a header's name in lower case; None where h11 looks closer at its value."""
    if raw_name.lower() in (b"content-length", b"transfer-encoding"):
        return None
    return _checked_by_h11((raw_name, b"1"))[1]


@lru_cache(maxsize=1024)
def _checked_by_h11(header: tuple[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    ((raw_name, value),) = h11.Response(headers=[header], status_code=200).headers.raw_items()
    return raw_name, raw_name.lower(), value


class Reset(Closed):
    """The connection is to end so that its client cannot take it for an orderly end."""


class Http1(H11Protocol):
    """Answers everything as the app says, and in as few pieces as it can.

    Hypercorn refuses what is not HTTP, and an upgrade to WebSocket, with an empty body and without the app.
    It sends the head of an answer by itself, which makes two system calls of every small one. And it ends an
    answer that broke off in HTTP/1.0 like one that is complete.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = b""
        self._ends_with_connection = False

    @override
    async def _maybe_recycle(self) -> None:
        if self._ends_with_connection and self.connection.our_state is h11.SEND_BODY:
            await self._close_stream()
            await self.can_read.set()
            await self.send(Reset())
        else:
            await super()._maybe_recycle()

    @override
    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and event.status_code >= 200:
            headers = [*event.headers, *self.config.response_headers("h11")]
            checked = Headers([_checked(header) for header in headers])
            await self._send_h11_event(h11.Response(headers=checked, status_code=event.status_code))
        else:
            await super().stream_send(event)

    @override
    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data
            self._ends_with_connection = (
                isinstance(self.connection, h11.Connection)
                and self.connection.their_http_version == b"1.0"
                and all(name != b"content-length" for name, _ in event.headers)
            )
            # Most apps send the body in the same breath. One that does not must not keep the head back.
            asyncio.get_running_loop().call_soon(self._release_head)
        else:
            await self._send_with_head(data)

    def _release_head(self) -> None:
        if self._head:
            self.task_group.spawn(self._send_with_head, b"")

    async def _send_with_head(self, data: bytes) -> None:
        data, self._head = self._head + data, b""
        if data:
            await self.send(RawData(data))

    @override
    async def _check_protocol(self, event: h11.Request) -> None:
        if event.method == b"PRI" or any(name == b"upgrade" for name, _ in event.headers):
            await super()._check_protocol(event)

    @override
    async def _create_stream(self, request: h11.Request) -> None:
        # No app here speaks WebSocket, and a server may ignore an upgrade (RFC 9110, 7.8).
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=[header for header in request.headers if header[0] != b"upgrade"],
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()

    @override
    async def _send_error_response(self, status_code: int) -> None:
        response = error_response(error_for_status(status_code, "This is not a valid HTTP/1.1 request"))
        headers = [*response.raw_headers, (b"connection", b"close"), *self.config.response_headers("h11")]
        await self._send_h11_event(h11.Response(headers=headers, status_code=status_code))
        await self._send_h11_event(h11.Data(data=bytes(response.body)))
        await self._send_h11_event(h11.EndOfMessage())


class Buffer(StreamBuffer):
    """Holds the app back until its client has made room, where Hypercorn's grows with a closed window."""

    @override
    async def pop(self, max_length: int) -> bytes:
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < BUFFER_LOW_WATER:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


class Http2(H2Protocol):
    """Lets no stream wait for a client that is gone, and no stream disturb another.

    Hypercorn leaves the app waiting for ever when the connection closes before an answer, or when the client
    opens no window for it; leaves the client waiting when the app fails in mid-answer; and drops the
    connection, with every stream on it, when a body goes on after its answer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._resets = 0

    @override
    async def handle(self, event: Event) -> None:
        if isinstance(event, Closed):
            for buffer in list(self.stream_buffers.values()):
                await buffer.close()
        await super().handle(event)

    @override
    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Body):
            for start in range(0, len(event.data), PIECE_BYTES):
                piece = event.data[start : start + PIECE_BYTES]
                await self._send_in_time(Body(stream_id=event.stream_id, data=piece))
        elif isinstance(event, EndBody):
            await self._send_in_time(event)
        else:
            if isinstance(event, StreamClosed) and self._is_cut_short(event.stream_id):
                await self._reset(event.stream_id, ErrorCodes.INTERNAL_ERROR)
            await super().stream_send(event)

    @override
    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        if all(name != b":path" for name, _ in request.headers):
            # A CONNECT has an authority instead (RFC 9113, 8.5), for which Hypercorn is not prepared.
            request.headers.append((b":path", b"/"))
        await super()._create_stream(request)

    async def _send_in_time(self, event: StreamEvent) -> None:
        if event.stream_id not in self.streams:
            # Nothing else here lets go of the loop, and the app must get to see that its client has gone.
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await super().stream_send(event)
        except TimeoutError:
            await self._reset(event.stream_id, ErrorCodes.CANCEL)
            await self._close_stream(event.stream_id)

    def _is_cut_short(self, stream_id: int) -> bool:
        buffer = self.stream_buffers.get(stream_id)
        return buffer is not None and not buffer.complete

    async def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        try:
            self.connection.reset_stream(stream_id, code)
        except ProtocolError:
            return
        await self._flush()
        if stream_id in self.stream_buffers:
            await self.stream_buffers[stream_id].close()

    @override
    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                continue
            if isinstance(event, h2.events.StreamReset) and event.stream_id in self.streams:
                self._resets += 1
                if self._resets > max(RESETS, self.keep_alive_requests // 2):
                    log.warning("too many streams reset", resets=self._resets, client=self.client)
                    self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
                    await self._flush()
                    await self.send(Closed())
                    return
            await super()._handle_events([event])
        await self._flush()
