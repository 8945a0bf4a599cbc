"""Connects to an edge by its name, whatever the name servers of other edges do."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import anyio
import httpcore

FRESH_SECONDS = 30.0
"""How long the addresses of a name are used before they are looked up again."""

LOOK_UPS_AT_ONCE = 64
LATE_LOOK_UPS_AT_ONCE = 8
"""Those of names whose last look-up failed or was not waited for any longer."""

HEAD_START_SECONDS = 0.25
"""How long an address is tried before the next one is too (RFC 8305, section 5)."""

LookUp = Callable[[str], Sequence[str]]
"""Returns the addresses of a host, best first; it may block. Raises OSError, UnicodeError."""

Found = Sequence[str] | OSError | UnicodeError
"""What a look-up comes to. Nobody may be there any longer whom an error could be raised to."""


def look_up(host: str) -> list[str]:
    """Ask the system, by whatever it is configured to ask."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class LookUps:
    """Threads for look-ups: a call that hangs in one cannot be ended, so they are bounded, and names that
    made somebody wait in vain have a few of their own.
    """

    def __init__(self, look_up: LookUp = look_up) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(LOOK_UPS_AT_ONCE, "look-up")
        self._late = ThreadPoolExecutor(LATE_LOOK_UPS_AT_ONCE, "late-look-up")

    def start(self, host: str, *, late: bool) -> Future[Found]:
        return (self._late if late else self._threads).submit(self._find, host)

    def _find(self, host: str) -> Found:
        try:
            return self._look_up(host)
        except (OSError, UnicodeError) as error:
            return error


class EdgeNetwork(httpcore.AsyncNetworkBackend):
    """The connections to one edge. At most one look-up of its name is under way, also when those who waited
    for it have given up.
    """

    def __init__(self, look_ups: LookUps, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_ups = look_ups
        self._clock = clock
        self._network = httpcore.AnyIOBackend()
        self._addresses: Sequence[str] = ()
        self._looked_up = 0.0
        self._late = False
        self._under_way: Future[Found] | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)

        addresses = [host] if _is_address(host) else await self._find(host)
        if len(addresses) == 1:
            return await connect(addresses[0])
        opened: list[httpcore.AsyncNetworkStream] = []
        failed: list[Exception] = []

        async def attempt(address: str, ended: anyio.Event) -> None:
            try:
                opened.append(await connect(address))
                tasks.cancel_scope.cancel()
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed.append(error)
            ended.set()

        async with anyio.create_task_group() as tasks:
            for address in addresses:
                ended = anyio.Event()
                tasks.start_soon(attempt, address, ended)
                with anyio.move_on_after(HEAD_START_SECONDS):
                    await ended.wait()
        for late in opened[1:]:
            await late.aclose()
        if not opened:
            raise failed[0]
        return opened[0]

    def close(self) -> None:
        """Forget a look-up that has not begun."""
        if self._under_way is not None:
            self._under_way.cancel()

    async def _find(self, host: str) -> Sequence[str]:
        if self._addresses and self._clock() - self._looked_up < FRESH_SECONDS:
            return self._addresses
        if self._under_way is None:
            self._under_way = self._look_ups.start(host, late=self._late)
        under_way, self._late = self._under_way, True
        found = await asyncio.shield(asyncio.wrap_future(under_way))
        self._under_way = None
        if not isinstance(found, Sequence):
            raise httpcore.ConnectError(str(found)) from found
        if not found:
            raise httpcore.ConnectError(f"{host} has no address")
        self._addresses, self._looked_up, self._late = found, self._clock(), False
        return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
