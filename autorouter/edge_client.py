"""Asks an edge how it is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Protocol

import httpcore
import httpx
import orjson
from pydantic import SecretStr

from autorouter.edge_network import EdgeNetwork, LookUp, LookUps, look_up
from shared.edge_status import CONTENT_TYPE, MAX_BYTES, PATH, EdgeStatus, StatusError, decode
from shared.regions import Region

Ask = Callable[[], Awaitable[EdgeStatus]]
"""Asks one edge once. It has no deadline of its own. Raises Miss."""

Headers = Sequence[tuple[bytes, bytes]]

HINTS = {
    401: "its internal secret is another",
    403: "it has no internal secret",
    404: "it is no edge, or an older one",
}


class Miss(Exception):
    """The edge did not tell its state; the message says why in a few words.

    One that is ``leaving`` has said so: it is shutting down.
    """

    def __init__(self, why: str, *, leaving: bool = False) -> None:
        super().__init__(why)
        self.leaving = leaving


class Connect(Protocol):
    """Opens what asks the edge of *region*; *keep* keeps its connection from one time to the next."""

    def __call__(self, region: Region, *, keep: bool) -> AbstractAsyncContextManager[Ask]: ...


FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)

IDLE_SECONDS = 5.0
"""How long a connection is kept: servers close theirs after such a time, Hypercorn after 5 s."""


def connector(secret: SecretStr, *, look_up: LookUp = look_up) -> Connect:
    """Return what connects to edges by HTTP, with *secret*.

    Certificates are checked, against SSL_CERT_FILE or SSL_CERT_DIR where one is set.
    Every edge has a pool of its own, since httpcore looks through all connections of a pool at every
    request.
    """
    tls = httpx.create_ssl_context()
    look_ups = LookUps(look_up)
    headers = [
        (b"Authorization", f"Bearer {secret.get_secret_value()}".encode()),
        (b"Accept", CONTENT_TYPE.encode()),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"nearedge-autorouter"),
    ]

    @asynccontextmanager
    async def connect(region: Region, *, keep: bool) -> AsyncIterator[Ask]:
        with closing(EdgeNetwork(look_ups)) as network:
            async with httpcore.AsyncConnectionPool(
                ssl_context=tls,
                max_keepalive_connections=1 if keep else 0,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=network,
            ) as pool:

                async def ask() -> EdgeStatus:
                    return await _ask(pool, region, headers)

                yield ask

    return connect


async def _ask(pool: httpcore.AsyncConnectionPool, region: Region, headers: Headers) -> EdgeStatus:
    try:
        url = httpx.URL(region.url + PATH)
        asked = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = [(b"Host", url.netloc), *headers]
        async with pool.stream("GET", asked, headers=sent) as response:
            body = await _read(response)
    except (*FAILURES, httpx.InvalidURL, OSError) as error:
        raise Miss(f"{type(error).__name__}: {error}"[:200]) from error
    if response.status != 200:
        raise _refused(response.status, body)
    try:
        status = decode(body)
    except StatusError as error:
        raise Miss(f"its answer is no status: {error}") from error
    if status.region != region.id:
        raise Miss(f"it is the edge of {status.region!r}")
    return status


async def _read(response: httpcore.Response) -> bytes:
    """Return the body as it was sent, neither unpacked nor longer than a status may be."""
    body = bytearray()
    async for piece in response.aiter_stream():
        body += piece
        if len(body) > MAX_BYTES:
            raise Miss(f"its answer is longer than {MAX_BYTES} bytes")
    return bytes(body)


def _refused(status: int, body: bytes) -> Miss:
    if status == 503 and _code(body) == "shutting_down":
        return Miss("it is shutting down", leaving=True)
    hint = f": {HINTS[status]}" if status in HINTS else ""
    return Miss(f"it answers {status}{hint}")


def _code(body: bytes) -> str | None:
    """Return the code of an error body of ours, None for any other."""
    try:
        code = orjson.loads(body)["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return None
    return code if isinstance(code, str) else None
