"""Counts requests against their limits: with the other edges where that works, else alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio
import structlog
from redis import RedisError

from edge.accounts.breaker import Breaker
from edge.accounts.limits import Subject, Verdict
from edge.accounts.limits_local import LocalLimits
from edge.accounts.limits_shared import LEASE_SECONDS, SharedLimits, connect, new_lease
from edge.settings import EdgeSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

REFRESH_SECONDS = LEASE_SECONDS / 3
LATE_SECONDS = 0.005
"""How late a timer may fire before it says that this process is held up."""

MOST_ASKING = 8
"""Requests that ask the store at a time. That others wait for their turn tells nothing about the store."""

TURN_SECONDS = 1.0
"""How long a request waits for its turn, until it is counted alone."""

TELLERS = 4
"""How many ends of requests are told to the store at a time."""

RETELL_SECONDS = 1.0
"""How long until the store is told again to drop what it may have counted without an answer."""

MOST_LEAVING = 10_000
"""Ends of requests that wait to be told to the store; above it their leases run out by themselves."""


@dataclass(slots=True)
class LimiterCounts:
    """What happened since the start, for the metrics. ``refused`` is by kind of subject and of limit."""

    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    counted_alone: int = 0
    shared_failures: int = 0


class Admission:
    """A request that was counted, or refused: see ``verdict``. One that was counted must be ended."""

    def __init__(
        self, verdict: Verdict, subjects: Sequence[Subject], tokens: int, leave: "Callable[[Admission], None]"
    ) -> None:
        self.verdict = verdict
        self.subjects = subjects
        self.reserved_tokens = tokens
        self.used_tokens: int | None = None
        """None while nobody has told."""
        self.lease: str | None = None
        self.in_doubt = False
        """Whether the store may have the lease though it never said so."""
        self._leave: Callable[[Admission], None] | None = leave

    def note_tokens(self, count: int) -> None:
        """Take note of *count* more tokens that the request has really used."""
        self.used_tokens = (self.used_tokens or 0) + count

    @property
    def counted_tokens(self) -> int:
        """How many tokens the request is to have counted in the end."""
        return self.reserved_tokens if self.used_tokens is None else self.used_tokens

    def end(self) -> None:
        """Count the request as running no more; its tokens are settled. Does nothing the second time."""
        leave, self._leave = self._leave, None
        if leave is not None and self.verdict.exceeded is None:
            leave(self)


class _Asking:
    """Asks the store for one request; ``lease`` is its lease there once the store may know of it."""

    def __init__(self, shared: SharedLimits, subjects: Sequence[Subject], tokens: int) -> None:
        self.lease: str | None = None
        self._shared = shared
        self._subjects = subjects
        self._tokens = tokens

    async def ask(self) -> Verdict:
        self.lease = new_lease()
        return await self._shared.admit(self._subjects, self.lease, tokens=self._tokens)

    def in_doubt(self, verdict: Verdict, leave: Callable[[Admission], None]) -> Admission:
        """Return the admission of a request that was counted alone, for the store gave no answer."""
        admission = Admission(verdict, self._subjects, self._tokens, leave)
        admission.lease = self.lease
        admission.in_doubt = self.lease is not None
        return admission


class Limiter:
    """Admits requests: by the counts that edges share if *shared* is given and answers, else by its own.

    Own counts are kept all along, so that a store that fails leaves no edge without any. A request waits for
    the store for *deadline_seconds* at most once it is its turn, and not at all while the breaker is open.
    """

    def __init__(
        self,
        local: LocalLimits | None = None,
        shared: SharedLimits | None = None,
        *,
        deadline_seconds: float = 0.1,
        breaker: Breaker | None = None,
    ) -> None:
        self._local = local or LocalLimits()
        self._shared = shared
        self._deadline = deadline_seconds
        self._breaker = breaker or Breaker()
        self._turns = asyncio.Semaphore(MOST_ASKING)
        self._leaving: asyncio.Queue[tuple[Admission, float]] = asyncio.Queue(MOST_LEAVING)
        self.counts = LimiterCounts()

    @property
    def degraded(self) -> bool:
        """Whether counts should be shared and are not now."""
        return self._shared is not None and not self._breaker.closed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Renew leases and tell the store of requests that end, as long as this is entered."""
        if self._shared is None:
            yield
            return
        async with anyio.create_task_group() as tasks:
            for _ in range(TELLERS):
                tasks.start_soon(self._tell_of_ends, self._shared)
            tasks.start_soon(self._renew, self._shared)
            try:
                yield
            finally:
                with anyio.move_on_after(1.0, shield=True):
                    await self._leaving.join()
                tasks.cancel_scope.cancel()
        with anyio.move_on_after(1.0, shield=True):
            await self._shared.close()

    async def admit(self, subjects: Sequence[Subject], *, tokens: int = 0) -> Admission:
        """Count one request, and *tokens* until it is known how many it uses."""
        admission = await self._admit(subjects, tokens)
        if against := admission.verdict.exceeded:
            refused = (against[0].kind, against[1].value)
            self.counts.refused[refused] = self.counts.refused.get(refused, 0) + 1
        return admission

    async def look(self, subjects: Sequence[Subject]) -> Verdict:
        """Tell how *subjects* stand, and count nothing."""
        shared = self._shared
        if shared is not None:
            verdict = await self._try(lambda: shared.look(subjects))
            if verdict is not None:
                return verdict
        return self._local.look(subjects)

    async def _admit(self, subjects: Sequence[Subject], tokens: int) -> Admission:
        if self._shared is None:
            return Admission(self._local.admit(subjects, tokens=tokens), subjects, tokens, self._leave)
        asking = _Asking(self._shared, subjects, tokens)
        try:
            verdict = await self._try(asking.ask)
        except BaseException:
            if asking.lease is not None:
                self._give_back(asking.in_doubt(self._local.look(subjects), self._leave))
            raise
        if verdict is not None:
            admission = Admission(verdict, subjects, tokens, self._leave)
            if verdict.exceeded is None:
                admission.lease = asking.lease
                self._local.record(subjects, tokens=tokens)
            return admission
        self.counts.counted_alone += 1
        admission = asking.in_doubt(self._local.admit(subjects, tokens=tokens), self._leave)
        if admission.verdict.exceeded is not None:
            self._give_back(admission)
        return admission

    def _leave(self, admission: Admission) -> None:
        self._local.leave(
            admission.subjects,
            admission.verdict.window,
            reserved_tokens=admission.reserved_tokens,
            used_tokens=admission.counted_tokens,
        )
        self._give_back(admission)

    def _give_back(self, admission: Admission) -> None:
        if self._shared is None or admission.lease is None:
            return
        self._shared.forget(admission.lease)
        if _leaves_traces(admission):
            self._have_told(admission, asyncio.get_running_loop().time() + LEASE_SECONDS)

    def _have_told(self, admission: Admission, until: float) -> None:
        if not self._leaving.full():
            self._leaving.put_nowait((admission, until))

    async def _tell_of_ends(self, shared: SharedLimits) -> None:
        while True:
            admission, until = await self._leaving.get()
            try:
                told = await self._try(partial(_tell, shared, admission))
                loop = asyncio.get_running_loop()
                # Others are told once: the store may have heard it, and must not correct tokens twice.
                if told is None and admission.in_doubt and loop.time() < until:
                    loop.call_later(RETELL_SECONDS, self._have_told, admission, until)
            finally:
                self._leaving.task_done()

    async def _renew(self, shared: SharedLimits) -> None:
        while True:
            await anyio.sleep(REFRESH_SECONDS)
            await self._try(shared.refresh, seconds=REFRESH_SECONDS)

    async def _try(
        self, ask: Callable[[], Coroutine[Any, Any, T]], *, seconds: float | None = None
    ) -> T | None:
        """Return what *ask* returns, None if it fails, takes too long, or is better not tried now."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            return None
        try:
            return await self._ask(ask, self._deadline if seconds is None else seconds)
        finally:
            self._turns.release()

    async def _ask(self, ask: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T | None:
        if not self._breaker.may_try():
            return None
        was_degraded = self.degraded
        try:
            answer = await within(seconds, ask())
        except (RedisError, OSError, TimeoutError) as error:
            self.counts.shared_failures += 1
            self._breaker.fail()
            if self.degraded and not was_degraded:
                log.warning("limits counted alone", reason=type(error).__name__)
            return None
        self._breaker.succeed()
        if was_degraded:
            log.info("limits shared again")
        return answer


@asynccontextmanager
async def open_limiter(settings: EdgeSettings) -> AsyncIterator[Limiter]:
    """Set up the limiter of one edge."""
    deadline_seconds = settings.valkey_timeout_ms / 1000
    url = settings.valkey_url
    shared = None
    if url is not None:
        shared = SharedLimits(connect(url.get_secret_value()))
    limiter = Limiter(shared=shared, deadline_seconds=deadline_seconds)
    async with limiter.running():
        yield limiter


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work* if it is there in time, by the clock of whoever does it: where this process
    itself was held up, the answer may lie here unread, and gets that time once more.

    Raises:
        TimeoutError: it is not; the work is cancelled.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done and loop.time() - started > seconds + LATE_SECONDS:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


def _leaves_traces(admission: Admission) -> bool:
    """Whether the store must hear of the end: a lease to give back, or tokens that were not as counted."""
    settled = admission.in_doubt or admission.counted_tokens == admission.reserved_tokens
    return not settled or any(
        subject.limits.concurrent_requests is not None for subject in admission.subjects
    )


async def _tell(shared: SharedLimits, ended: Admission) -> bool:
    lease = ended.lease or ""
    if ended.in_doubt:
        await shared.drop(ended.subjects, lease)
        return True
    await shared.leave(
        ended.subjects,
        lease,
        ended.verdict.window,
        reserved_tokens=ended.reserved_tokens,
        used_tokens=ended.counted_tokens,
    )
    return True
