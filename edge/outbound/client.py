"""A client for URLs that callers give: they must not reach what only this machine can."""

import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import anyio
import certifi
import httpcore
import httpx

from edge.outbound.addresses import Address, is_public, parse
from edge.outbound.errors import OutboundError

MAX_URL_CHARACTERS = 8192
MAX_CONCURRENT = 16
"""Fetches at once, of all callers; the others wait within their time."""
MAX_ATTEMPTS = 4
"""Addresses of one host that are tried, one after the other."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
PORTS = frozenset(_DEFAULT_PORTS.values())

_UNSTATED = {"", "application/octet-stream", "binary/octet-stream"}

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL holds; ``content_type`` is the media type alone, in lower case, "" if none was sent."""

    data: bytes
    content_type: str


async def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of *host*.

    Raises:
        OSError: there are none.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(parse(str(sockaddr[0])) for *_, sockaddr in found))


@cache
def _public_trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to the very address that it checked: a name that changes meanwhile gains nothing."""

    def __init__(self, resolve: Resolve, allow: Callable[[Address], bool]) -> None:
        self._resolve = resolve
        self._allow = allow
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError, ValueError):
            raise OutboundError("its host cannot be found") from None
        if not addresses or not all(map(self._allow, addresses)):
            raise OutboundError("its host is not on the public internet")
        last: Exception = OutboundError("its host cannot be found")
        for address in addresses[:MAX_ATTEMPTS]:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last


class OutboundClient:
    """Fetches http and https URLs from public hosts: no redirects, no proxies, no cookies, bounded in time
    and size.

    *resolve* finds a host's addresses, *allow* says which of them may be connected to, and *ports* which
    ports. *trust* holds the certificate authorities; the system's and the public ones when None.
    """

    def __init__(
        self,
        *,
        resolve: Resolve = resolve,
        allow: Callable[[Address], bool] = is_public,
        ports: Collection[int] = PORTS,
        trust: ssl.SSLContext | None = None,
        seconds: float = 10.0,
    ) -> None:
        self._network = _CheckedNetwork(resolve, allow)
        self._ports = ports
        self._trust = trust
        self._seconds = seconds
        self._limiter = anyio.Semaphore(MAX_CONCURRENT)

    async def get(self, url: str, *, max_bytes: int, media: str) -> Fetched:
        """Return what *url* holds, which must be of the top-level media type *media*, or of no stated one.

        Raises:
            OutboundError: it may not be fetched, cannot be, or is larger than *max_bytes*.
        """
        request = self._request(url)
        try:
            with anyio.fail_after(self._seconds):
                async with self._limiter:
                    return await self._get(request, max_bytes, media)
        except (TimeoutError, httpcore.TimeoutException):
            raise OutboundError(f"it did not arrive within {self._seconds:g} seconds") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            raise OutboundError("its server cannot be reached, or does not speak http") from None

    def _request(self, url: str) -> httpcore.Request:
        if len(url) > MAX_URL_CHARACTERS:
            raise OutboundError(f"it is longer than {MAX_URL_CHARACTERS} characters")
        try:
            parsed = httpx.URL(url)
            host, port = parsed.raw_host, parsed.port or _DEFAULT_PORTS.get(parsed.scheme)
        except (httpx.InvalidURL, ValueError):
            raise OutboundError("it is no valid URL") from None
        if port is None or parsed.scheme not in _DEFAULT_PORTS or not host:
            raise OutboundError("only http and https URLs are fetched")
        if parsed.userinfo:
            raise OutboundError("a URL with a user or password in it is not fetched")
        if port not in self._ports:
            raise OutboundError(f"only the ports {', '.join(map(str, sorted(self._ports)))} are used")
        return httpcore.Request(
            "GET",
            httpcore.URL(scheme=parsed.raw_scheme, host=host, port=port, target=parsed.raw_path),
            headers=[
                (b"Host", parsed.netloc),
                (b"Accept", b"*/*"),
                (b"Accept-Encoding", b"identity"),
                (b"User-Agent", b"nearedge"),
            ],
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)},
        )

    async def _get(self, request: httpcore.Request, max_bytes: int, media: str) -> Fetched:
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._trust or _public_trust(),
            network_backend=self._network,
            max_keepalive_connections=0,
        ) as pool:
            response = await pool.handle_async_request(request)
            try:
                content_type = _check(response, max_bytes, media)
                data = bytearray()
                async for block in response.aiter_stream():
                    data += block
                    if len(data) > max_bytes:
                        raise _too_large(max_bytes)
                return Fetched(bytes(data), content_type)
            finally:
                await response.aclose()


def _check(response: httpcore.Response, max_bytes: int, media: str) -> str:
    """Return the media type of *response*.

    Raises:
        OutboundError: its body is not worth reading.
    """
    headers = httpx.Headers(response.headers)
    if 300 <= response.status < 400:
        raise OutboundError("its server redirects, which is not followed; give the URL that it leads to")
    if response.status != 200:
        raise OutboundError(f"its server answered {response.status}")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise OutboundError("its server compressed it, though asked not to")
    if headers.get("Content-Length", "0").isdigit() and int(headers.get("Content-Length", "0")) > max_bytes:
        raise _too_large(max_bytes)
    content_type: str = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type.partition("/")[0] != media and content_type not in _UNSTATED:
        raise OutboundError(f"it is not of a type {media}/…")
    return content_type


def _too_large(max_bytes: int) -> OutboundError:
    return OutboundError(f"it is larger than {max_bytes} bytes")
