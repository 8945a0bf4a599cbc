"""Watches the edges: asks each how it is, again and again, and publishes what that adds up to."""

import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import anyio
import structlog
from anyio.abc import TaskGroup

from autorouter.edge_client import Ask, Connect, Miss, connector
from autorouter.edge_health import EdgeHealth, Manner, Thresholds
from autorouter.grid_state import EdgeState, GridState
from autorouter.settings import AutorouterSettings
from shared.edge_status import EdgeStatus
from shared.regions import Region

log = structlog.get_logger(__name__)

KEPT_CONNECTIONS = 256
"""Above this many edges each poll opens a connection: a process may have 1,024 descriptors by default."""

POLLS_AT_ONCE = {Manner.ANSWERING: 256, Manner.FAILING: 128, Manner.SILENT: 64}
"""Edges that let a poll wait do so among their like: they delay neither those that answer nor the news
that another one is down.
"""

PAUSE_PER_EDGE_SECONDS = 10e-6
"""What changes within this time for each edge is published together: to choose from a new state takes about
a microsecond for each, so that however much changes, callers wait for a tenth of the time at most.
"""

JITTER = 0.2
"""Each wait is longer or shorter by up to this part, so that many autorouters do not ask at the same time."""

REASONS = 8
"""How many different reasons of misses are logged while an edge is down."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Polls of one edge begin ``every_seconds`` after each other, give or take the jitter; each may take
    ``timeout_seconds`` from the connection to the last byte. ``clock`` and ``sleep`` are in seconds.
    """

    every_seconds: float
    timeout_seconds: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


@dataclass(slots=True)
class PollCounts:
    """How often an edge was asked since it is watched, and how often in vain."""

    polls: int = 0
    misses: int = 0


@dataclass(eq=False, slots=True)
class _Watch:
    """One edge under watch. ``told`` are the reasons of misses that were logged since it was last up,
    ``broken`` whether the traceback of a bug was.
    """

    region: Region
    health: EdgeHealth = field(default_factory=EdgeHealth)
    counts: PollCounts = field(default_factory=PollCounts)
    told: set[str] = field(default_factory=set)
    broken: bool = False
    scope: anyio.CancelScope | None = None
    """Of its task, once that has begun."""


class Poller:
    """Polls every edge in a task and at a rhythm of its own: none waits for another.

    Without *connect* nothing is watched.
    """

    def __init__(
        self, regions: Iterable[Region], connect: Connect | None, rhythm: Rhythm, thresholds: Thresholds
    ) -> None:
        self._edges: dict[str, EdgeState] = {}
        self._published = GridState(watched=connect is not None)
        self._published_at = -math.inf
        self._due = math.inf
        self._connect = connect
        self._rhythm = rhythm
        self._thresholds = thresholds
        self._polls = {manner: anyio.Semaphore(most) for manner, most in POLLS_AT_ONCE.items()}
        self._watches: dict[str, _Watch] = {}
        self._tasks: TaskGroup | None = None
        self.follow(regions)

    @classmethod
    def of(cls, settings: AutorouterSettings, regions: Iterable[Region]) -> Self:
        """Return a poller of *regions*, which watches them if an internal secret is set."""
        secret = settings.internal_secret
        return cls(
            regions,
            connector(secret) if secret is not None else None,
            Rhythm(settings.autorouter_poll_seconds, settings.autorouter_poll_timeout_seconds),
            Thresholds(settings.autorouter_down_after, settings.autorouter_up_after),
        )

    @property
    def state(self) -> GridState:
        """What is known now. It is replaced, never changed, and no more often than a grid of that size
        bears; only that an edge drains is told at once.
        """
        if self._due < math.inf and self._rhythm.clock() >= self._due:
            self._publish()
        return self._published

    @property
    def counts(self) -> Mapping[str, PollCounts]:
        """The polls of every edge under watch, by the id of its region."""
        return {region_id: watch.counts for region_id, watch in self._watches.items()}

    def follow(self, regions: Iterable[Region]) -> None:
        """Watch *regions* from now on. What is known of those that stay at their url stays known."""
        if self._connect is None:
            return
        before, self._watches = self._watches, {}
        for region in regions:
            watch = before.get(region.id)
            if watch is not None and watch.region.url == region.url:
                self._watches[region.id] = before.pop(region.id)
            else:
                self._watches[region.id] = _Watch(region)
                if self._tasks is not None:
                    self._tasks.start_soon(self._run, self._connect, self._watches[region.id])
        for watch in before.values():
            if watch.scope is not None:
                watch.scope.cancel()
        self._edges = {region_id: watch.health.state for region_id, watch in self._watches.items()}
        self._publish()

    async def run(self) -> None:
        """Watch until cancelled; the first polls begin at once."""
        if self._connect is None:
            return
        async with anyio.create_task_group() as self._tasks:
            try:
                for watch in self._watches.values():
                    self._tasks.start_soon(self._run, self._connect, watch)
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    async def survey(self) -> GridState:
        """Ask every edge once, all at the same time, and return what is known then."""
        if self._connect is not None:
            async with anyio.create_task_group() as tasks:
                for watch in self._watches.values():
                    tasks.start_soon(self._ask_once, self._connect, watch)
            self._publish()
        return self.state

    async def _ask_once(self, connect: Connect, watch: _Watch) -> None:
        async with connect(watch.region, keep=False) as ask:
            await self._poll(watch, ask)

    async def _run(self, connect: Connect, watch: _Watch) -> None:
        if not self._watched(watch):
            return
        rhythm = self._rhythm
        keep = len(self._watches) <= KEPT_CONNECTIONS
        with anyio.CancelScope() as watch.scope:
            while True:
                try:
                    async with connect(watch.region, keep=keep) as ask:
                        await self._keep_polling(watch, ask)
                except Exception as error:  # noqa: BLE001 - the poll logs it
                    # Whatever it is, it must not end the watch: it counts as a miss.
                    await self._poll(watch, partial(_fail, error))
                    await rhythm.sleep(rhythm.every_seconds)

    async def _keep_polling(self, watch: _Watch, ask: Ask) -> None:
        rhythm = self._rhythm
        while True:
            started = rhythm.clock()
            await self._poll(watch, ask)
            wait = rhythm.every_seconds * random.uniform(1 - JITTER, 1 + JITTER)
            await rhythm.sleep(max(0.0, started + wait - rhythm.clock()))

    async def _poll(self, watch: _Watch, ask: Ask) -> None:
        """Ask the edge and note what comes of it, whatever that is."""
        async with self._polls[watch.health.manner]:
            watch.counts.polls += 1
            outcome = await self._outcome(watch, ask)
        before = watch.health
        if isinstance(outcome, Miss):
            watch.counts.misses += 1
            watch.health = before.missed(self._thresholds, leaving=outcome.leaving)
        else:
            watch.health = before.succeeded(outcome, self._thresholds)
        _log(watch, before, str(outcome) if isinstance(outcome, Miss) else None)
        region_id, now = watch.region.id, watch.health.state
        if now != before.state and self._watched(watch):
            self._edges[region_id] = now
            pause = PAUSE_PER_EDGE_SECONDS * len(self._edges)
            drains = now.draining and not before.state.draining
            self._due = min(self._due, -math.inf if drains else self._published_at + pause)

    def _publish(self) -> None:
        self._published = replace(self._published, edges=self._edges.copy())
        self._published_at, self._due = self._rhythm.clock(), math.inf

    def _watched(self, watch: _Watch) -> bool:
        """Whether *watch* is still wanted: what it finds may come after its region has left."""
        return self._watches.get(watch.region.id) is watch

    async def _outcome(self, watch: _Watch, ask: Ask) -> EdgeStatus | Miss:
        seconds = self._rhythm.timeout_seconds
        try:
            with anyio.fail_after(seconds):
                return await ask()
        except Miss as miss:
            return miss
        except TimeoutError:
            return Miss(f"no answer within {seconds:g} s")
        except Exception as error:
            # Whatever it is, it must not end the watch.
            if not watch.broken:
                log.exception("edge_poll_failed", region=watch.region.id)
                watch.broken = True
            return Miss(f"an unexpected {type(error).__name__}")


async def _fail(error: Exception) -> EdgeStatus:
    raise error


def _log(watch: _Watch, before: EdgeHealth, reason: str | None) -> None:
    """Log a change of an edge, and why one that is down stays so; not every poll."""
    up, draining = watch.health.state.up, watch.health.state.draining
    new = False
    if up:
        watch.told.clear()
    elif reason is not None and reason not in watch.told and len(watch.told) < REASONS:
        watch.told.add(reason)
        new = True
    if new or _logged(watch.health) != _logged(before):
        write = log.info if up else log.warning
        write("edge_state", region=watch.region.id, up=up, draining=draining, reason=reason)


def _logged(health: EdgeHealth) -> tuple[bool, bool, bool]:
    return health.was_up, health.state.up, health.state.draining
