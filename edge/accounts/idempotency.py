"""Doing a request once, however often it is sent: its claim, and its answer for those who ask again."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import anyio
import orjson
import structlog

from edge.accounts.breaker import Breaker
from edge.accounts.sealing import NotSealedWith, seal, unseal
from edge.errors import AnswerNotKept, IdempotencyInProgress, IdempotencyKeyReused, StoreUnavailable
from edge.store import StoreError, Stores
from edge.store.idempotency import KEPT, LOST, RUNNING, Claim, IdempotencyRow, IdempotencyStore
from shared.clock import rfc3339

log = structlog.get_logger(__name__)

T = TypeVar("T")

LEASE_SECONDS = 15.0
"""How long a claim holds without a sign of life of its process: what a crash makes a repeat wait."""

RENEW_SECONDS = LEASE_SECONDS / 3
WAIT_SECONDS = 25.0
"""How long a repeat waits for the first that another process works on. The published client waits 30 s."""

POLL_SECONDS = 0.2
FLEET_SECONDS = 0.5
"""How long a request waits for the fleet's database, which it can do without."""

SWEEP_SECONDS = 60.0
MOST_UNSETTLED = 10_000
MOST_BATCHES = 100
"""Of rows that one sweep deletes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A request that has a name. ``fingerprint`` is a digest of what it asks for.

    ``fleetwide`` says that no edge of the fleet may do it twice; without, this node alone counts.
    ``secret`` seals the answer at rest, if that is given.
    """

    id: str
    tenant_id: str
    fingerprint: str
    keep_seconds: float
    fleetwide: bool
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A request that this process is to do.

    ``name`` (hex) is the same for all who take it over from a process that died, and never given again once
    the request was given back or has expired. ``again`` says that it was taken over, so that what it does may
    have been done.
    """

    name: str
    again: bool


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to a request as it was first given."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)


@dataclass(slots=True)
class IdempotencyCounts:
    """What happened since the start, for the metrics."""

    executed: int = 0
    replayed: int = 0
    claimed_alone: int = 0
    not_kept: int = 0


class Idempotency:
    """Claims requests and keeps their answers, in this node's file and in the fleet's database.

    A fleet's database that does not answer within FLEET_SECONDS is done without: the claim then holds among
    the processes of this node only, and ``counts.claimed_alone`` tells.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        answer_limit_bytes: int,
        total_limit_bytes: int,
        wait_seconds: float = WAIT_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._local = IdempotencyStore(stores.local)
        self._fleet = IdempotencyStore(stores.fleet) if stores.in_fleet else None
        self._answer_limit_bytes = answer_limit_bytes
        self._total_limit_bytes = total_limit_bytes
        self._wait_seconds = wait_seconds
        self._lease_seconds = lease_seconds
        self._now = now
        self._breaker = Breaker()
        self._owner = secrets.token_hex(8)
        self._held: set[str] = set()
        self._unsettled: set[str] = set()
        """Of which the fleet's database still has to hear how they ended."""
        self.counts = IdempotencyCounts()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Renew leases and delete what has expired as long as this is entered."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew)
            tasks.start_soon(self._sweep)
            yield
            tasks.cancel_scope.cancel()

    async def find(self, identity: Identity) -> StoredAnswer | None:
        """Return the answer that was given, None if the request is still to be done.

        While another process does it, wait.

        Raises:
            IdempotencyKeyReused: the name stands for another request.
            IdempotencyInProgress: the other process took too long.
            AnswerNotKept: it was done, and its answer is not there any more.
            StoreUnavailable: this node's file cannot be read, so nobody knows.
        """
        deadline = time.monotonic() + self._wait_seconds
        while True:
            row = await self._row(identity)
            now = self._ms()
            if row is None or row.expires_at_ms <= now:
                return None
            if row.fingerprint != identity.fingerprint:
                raise IdempotencyKeyReused
            if row.state == KEPT:
                return _answer(row, identity)
            if row.state == LOST:
                raise AnswerNotKept
            if row.lease_until_ms <= now:
                return None
            if time.monotonic() > deadline:
                raise IdempotencyInProgress
            await anyio.sleep(POLL_SECONDS)

    async def claim(self, identity: Identity) -> Claimed | None:
        """Claim the request for this process; None if another one was faster.

        Raises:
            StoreUnavailable: this node's file cannot be written, so nobody can promise to do it only once.
        """
        now = self._ms()
        claim = Claim(
            id=identity.id,
            tenant_id=identity.tenant_id,
            fingerprint=identity.fingerprint,
            owner=self._owner,
            created_at=rfc3339(datetime.now(UTC), timespec="microseconds"),
            lease_until_ms=now + _in_ms(self._lease_seconds),
            expires_at_ms=now + _in_ms(identity.keep_seconds),
        )
        try:
            begun = await self._local.claim(claim, now)
        except StoreError as error:
            raise _unavailable() from error
        if begun is None:
            return None
        if self._fleet is not None and identity.fleetwide:
            begun = await self._claim_of_fleet(self._fleet, replace(claim, created_at=begun), now)
            if begun is None:
                await self._quietly(self._local.release(identity.id, self._owner))
                return None
        self._held.add(identity.id)
        self._unsettled.discard(identity.id)  # the fleet is to hear how this one ends
        self.counts.executed += 1
        return Claimed(_name(identity, begun), again=begun != claim.created_at)

    async def _claim_of_fleet(self, fleet: IdempotencyStore, claim: Claim, now: int) -> str | None:
        """Return when the fleet says that the request was begun, None if another edge was faster."""
        answer = await self._ask_fleet(lambda: _wrapped(fleet.claim(claim, now)))
        if answer is None:
            self.counts.claimed_alone += 1
            return claim.created_at
        (begun,) = answer
        if begun is not None and begun != claim.created_at:
            # For a process of this node that takes it over while the fleet does not answer.
            await self._quietly(self._local.begun(claim.id, self._owner, begun))
        return begun

    async def keep(self, identity: Identity, answer: StoredAnswer | None, *, status: int) -> None:
        """Keep the *answer* to a claimed request; None, and one that is too large, is only remembered."""
        body = answer.body if answer is not None else None
        if body is not None and len(body) > self._answer_limit_bytes:
            body = None
        self.counts.not_kept += body is None
        size = len(body or b"")
        if body is not None and identity.secret is not None:
            body = seal(identity.secret, body)
        headers = orjson.dumps(list(answer.headers) if answer is not None else []).decode()

        def keep(store: IdempotencyStore) -> Awaitable[bool]:
            return store.keep(
                identity.id, self._owner, status=status, headers=headers, body=body, size_bytes=size
            )

        await self._settle(identity, keep)

    async def release(self, identity: Identity) -> None:
        """Give a claim back: the request may be tried again."""
        await self._settle(identity, lambda store: store.release(identity.id, self._owner))

    async def let_go(self, identity: Identity) -> None:
        """Leave a claim as a process that dies does, but at once: who repeats the request takes it over."""
        await self._settle(identity, lambda store: store.let_go(identity.id, self._owner))

    async def _settle(self, identity: Identity, do: Callable[[IdempotencyStore], Awaitable[object]]) -> None:
        await self._quietly(do(self._local))
        fleet = self._fleet
        if fleet is not None and identity.fleetwide:
            told = await self._ask_fleet(lambda: _done(do(fleet)))
            if told is None and len(self._unsettled) < MOST_UNSETTLED:
                self._unsettled.add(identity.id)
        self._held.discard(identity.id)

    async def _row(self, identity: Identity) -> IdempotencyRow | None:
        try:
            row = await self._local.find(identity.id)
        except StoreError as error:
            raise _unavailable() from error
        fleet = self._fleet
        if fleet is None or not identity.fleetwide or (row is not None and row.state in (KEPT, LOST)):
            return row
        found = await self._ask_fleet(lambda: fleet.find(identity.id))
        if found is None or row is None:
            return found or row
        # A process of this node may have claimed it without the fleet, which still shows who died at it.
        both_run = found.state == row.state == RUNNING
        return max(found, row, key=lambda one: one.lease_until_ms) if both_run else found

    async def _ask_fleet(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        if not self._breaker.may_try():
            return None
        try:
            async with asyncio.timeout(FLEET_SECONDS):
                answer = await ask()
        except (StoreError, TimeoutError) as error:
            self._breaker.fail()
            log.warning("fleet not asked about a repeat", reason=type(error).__name__)
            return None
        self._breaker.succeed()
        return answer

    async def _quietly(self, work: Awaitable[object]) -> None:
        try:
            await work
        except StoreError as error:
            log.warning("a repeat will not be known", error=str(error))

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(self._lease_seconds / 3)
            until = self._ms() + _in_ms(self._lease_seconds)
            if self._held:
                await self._quietly(self._local.renew(tuple(self._held), self._owner, until))
            if self._fleet is not None:
                await self._quietly(self._catch_up(self._fleet, until))

    async def _catch_up(self, fleet: IdempotencyStore, until: int) -> None:
        for request_id in tuple(self._unsettled):
            row = await self._local.find(request_id)
            if request_id not in self._unsettled:
                continue
            if await self._ask_fleet(partial(_copy, fleet, request_id, self._owner, row)) is None:
                return
            self._unsettled.discard(request_id)
        if held := tuple(self._held):
            await self._ask_fleet(lambda: _done(fleet.renew(held, self._owner, until)))

    async def _sweep(self) -> None:
        while True:
            for store in (self._local, self._fleet):
                if store is not None:
                    await self._quietly(self._delete(store))
            await anyio.sleep(SWEEP_SECONDS)

    async def _delete(self, store: IdempotencyStore) -> None:
        for _ in range(MOST_BATCHES):
            if not await store.delete_expired(self._ms()):
                break
        for _ in range(MOST_BATCHES):
            if not await store.lose_above(self._total_limit_bytes):
                break

    def _ms(self) -> int:
        return _in_ms(self._now())


async def _done(work: Awaitable[object]) -> bool:
    await work
    return True


async def _wrapped(work: Awaitable[T]) -> tuple[T]:
    return (await work,)


async def _copy(fleet: IdempotencyStore, request_id: str, owner: str, row: IdempotencyRow | None) -> bool:
    """Tell *fleet* how a request ended here."""
    if row is None:
        return await _done(fleet.release(request_id, owner))
    if row.state == RUNNING:
        return await _done(fleet.let_go(request_id, owner))
    body = row.body if row.state == KEPT else None
    kept = fleet.keep(
        request_id,
        owner,
        status=row.status or 200,
        headers=row.headers or "[]",
        body=body,
        size_bytes=len(body or b""),
    )
    return await _done(kept)


def _in_ms(seconds: float) -> int:
    return int(seconds * 1000)


def _name(identity: Identity, begun: str) -> str:
    return hashlib.sha256(f"{identity.id} {identity.fingerprint} {begun}".encode()).hexdigest()


def _answer(row: IdempotencyRow, identity: Identity) -> StoredAnswer:
    body = row.body or b""
    if identity.secret is not None:
        try:
            body = unseal(identity.secret, body)
        except NotSealedWith:
            raise AnswerNotKept(
                "This request was done before with another key; its answer holds a secret that only that key "
                "can read again"
            ) from None
    return StoredAnswer(
        row.status or 200, [(name, value) for name, value in orjson.loads(row.headers or "[]")], body
    )


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable("Whether this request was done before cannot be told right now; try again")
