"""Asks an edge how it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import httpx
import orjson
from pydantic import SecretStr

from shared.edge_status import CONTENT_TYPE, MAX_BYTES, PATH, EdgeStatus, StatusError, decode
from shared.regions import Region

Ask = Callable[[], Awaitable[EdgeStatus]]
"""Asks one edge once. It has no deadline of its own. Raises Miss."""

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


def connector(secret: SecretStr) -> Connect:
    """Return what connects to edges by HTTP, with *secret*.

    Certificates are checked, against SSL_CERT_FILE or SSL_CERT_DIR where one is set.
    Every edge has a client of its own, since httpx looks through all connections of a client at every
    request.
    """
    tls = httpx.create_ssl_context()
    headers = {
        "Authorization": f"Bearer {secret.get_secret_value()}",
        "Accept": CONTENT_TYPE,
        "Accept-Encoding": "identity",
        "User-Agent": "nearedge-autorouter",
    }

    @asynccontextmanager
    async def connect(region: Region, *, keep: bool) -> AsyncIterator[Ask]:
        async with httpx.AsyncClient(
            headers=headers,
            verify=tls,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - whoever asks has a deadline for the whole
            limits=httpx.Limits(max_keepalive_connections=1 if keep else 0),
        ) as client:

            async def ask() -> EdgeStatus:
                return await _ask(client, region)

            yield ask

    return connect


async def _ask(client: httpx.AsyncClient, region: Region) -> EdgeStatus:
    try:
        async with client.stream("GET", region.url + PATH) as response:
            body = await _read(response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Miss(f"{type(error).__name__}: {error}"[:200]) from error
    if response.status_code != 200:
        raise _refused(response.status_code, body)
    try:
        status = decode(body)
    except StatusError as error:
        raise Miss(f"its answer is no status: {error}") from error
    if status.region != region.id:
        raise Miss(f"it is the edge of {status.region!r}")
    return status


async def _read(response: httpx.Response) -> bytes:
    """Return the body as it was sent, neither unpacked nor longer than a status may be."""
    body = bytearray()
    async for piece in response.aiter_raw():
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
