"""How far every edge is from here, in real round trips."""

import math
import os
import ssl
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from shared.regions import Region

AT_ONCE = 4
"""Edges measured side by side: more would queue behind each other on the way out of a small machine."""

ANSWER_BYTES = 64 * 1024
"""Longest answer of ``/health`` that is read; an edge's has a few hundred bytes."""

READY, NOT_READY = 200, 503
"""What an edge's ``/health`` answers: any other status is not an edge's."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What asking one edge came to, times in milliseconds.

    ``connect_ms`` is looking up its name, TCP and TLS; ``round_trips_ms`` are those of ``GET /health`` on the
    open connection, up to the head of the answer. Of ``sent`` such requests those that are missing were lost.
    ``ready`` unless its ``/health`` says otherwise. ``reason`` tells what went wrong last, if anything did.
    """

    region: Region
    connect_ms: float | None = None
    round_trips_ms: tuple[float, ...] = ()
    sent: int = 0
    ready: bool = False
    reason: str | None = None

    @property
    def answers(self) -> bool:
        return bool(self.round_trips_ms)

    @property
    def median_ms(self) -> float | None:
        return statistics.median(self.round_trips_ms) if self.answers else None

    @property
    def min_ms(self) -> float | None:
        return min(self.round_trips_ms, default=None)

    @property
    def max_ms(self) -> float | None:
        return max(self.round_trips_ms, default=None)

    @property
    def lost(self) -> int:
        return self.sent - len(self.round_trips_ms)


def best_first(reaches: Iterable[Reach]) -> list[Reach]:
    """Sort by what a client would choose: ready edges, those that are not, those that do not answer; among
    equals the shortest median, then the lowest id.
    """

    def rank(reach: Reach) -> tuple[bool, bool, float, str]:
        median = reach.median_ms
        return not reach.answers, not reach.ready, math.inf if median is None else median, reach.region.id

    return sorted(reaches, key=rank)


async def ping(regions: Iterable[Region], *, count: int, timeout_seconds: float) -> list[Reach]:
    """Ask the edge of every one of *regions* for its health *count* times, and return them best first.

    A request that takes longer than *timeout_seconds* is lost; so is an edge that takes as long to connect.
    """
    # Made once: reading the certificates takes longer than a round trip.
    context = httpx.create_ssl_context(trust_env=False)
    turns = anyio.CapacityLimiter(AT_ONCE)
    found: list[Reach] = []

    async def measure(region: Region) -> None:
        async with turns:
            found.append(await _ask(region, context, count, timeout_seconds))

    async with anyio.create_task_group() as tasks:
        for region in regions:
            tasks.start_soon(measure, region)
    return best_first(found)


class _Failed(Exception):
    """A request came to nothing; the message says why."""


async def _ask(region: Region, context: ssl.SSLContext, count: int, timeout_seconds: float) -> Reach:
    url = f"{region.url}/health"
    async with httpx.AsyncClient(
        verify=context, timeout=timeout_seconds, trust_env=False, follow_redirects=False
    ) as client:
        opening = _Watch()
        try:
            status = await _get(client, url, opening, timeout_seconds)
        except _Failed as failed:
            return Reach(region, opening.connect_ms, reason=str(failed))
        round_trips: list[float] = []
        reason = None
        for _ in range(count):
            watch = _Watch()
            try:
                status = await _get(client, url, watch, timeout_seconds)
            except _Failed as failed:
                reason = str(failed)
            else:
                round_trips.append(watch.round_trip_ms)
    ready = status == READY
    if not ready and reason is None:
        reason = "not ready: answers 503"
    return Reach(region, opening.connect_ms, tuple(round_trips), count, ready, reason)


class _Watch:
    """Notes when one request got its connection, left, and was answered."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        self._at[event] = time.perf_counter()

    def _between_ms(self, first: str, last: str) -> float:
        return (self._at[last] - self._at[first]) * 1000

    @property
    def connect_ms(self) -> float | None:
        done = "connection.connect_tcp.complete"
        if "connection.start_tls.started" in self._at:
            done = "connection.start_tls.complete"
        return self._between_ms("connection.connect_tcp.started", done) if done in self._at else None

    @property
    def round_trip_ms(self) -> float:
        """Without the time to connect, if the edge had closed the connection before this request."""
        return self._between_ms(
            "http11.send_request_headers.started", "http11.receive_response_headers.complete"
        )


async def _get(client: httpx.AsyncClient, url: str, watch: _Watch, timeout_seconds: float) -> int:
    """Ask for *url* and return the status.

    Raises:
        _Failed: there was no answer in time, or none of an edge.
    """
    try:
        with anyio.fail_after(timeout_seconds):
            async with client.stream("GET", url, extensions={"trace": watch}) as answer:
                if answer.status_code not in (READY, NOT_READY):
                    raise _Failed(f"not an edge: /health answers {answer.status_code}")
                await _drain(answer)
    except (TimeoutError, httpx.TimeoutException):
        raise _Failed(f"no answer within {timeout_seconds:g} s") from None
    except (httpx.HTTPError, OSError, ssl.SSLError) as error:
        raise _Failed(_explain(error)) from None
    return answer.status_code


async def _drain(answer: httpx.Response) -> None:
    """Read the answer to its end, so that its connection can be used again."""
    read_bytes = 0
    async for piece in answer.aiter_raw():
        read_bytes += len(piece)
        if read_bytes > ANSWER_BYTES:
            raise _Failed(f"not an edge: /health answers more than {ANSWER_BYTES // 1024} KiB")


def _explain(error: BaseException) -> str:
    """Return what the system said, which lies below what httpx and anyio made of it."""
    said = str(error) or type(error).__name__
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLCertVerificationError):
            return f"bad certificate: {below.verify_message}"
        if isinstance(below, OSError) and below.strerror:
            said = below.strerror
            if isinstance(below, ConnectionError) and below.errno:
                # asyncio puts words of its own in place of the system's.
                said = os.strerror(below.errno)
        inner = below.exceptions[0] if isinstance(below, BaseExceptionGroup) else None
        below = inner or below.__cause__ or below.__context__
    return said
