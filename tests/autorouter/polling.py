"""A poller under watch: edges by script, and a time that passes as fast as the test does."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from pydantic import SecretStr

from autorouter.edge_client import Ask, Connect, connector
from autorouter.edge_health import Thresholds
from autorouter.grid_state import EdgeState
from autorouter.poller import Poller, Rhythm
from shared.edge_status import EdgeStatus
from shared.regions import Region
from tests.autorouter.edges import region

THRESHOLDS = Thresholds(3, 10)
QUICK = Rhythm(0.02, 1.0)
HTTP = connector(SecretStr("s3cret"))

Outcome = EdgeStatus | Exception | None
"""What a poll comes to; None never comes."""


@dataclass
class Clock:
    """A time that passes only while somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    def rhythm(self) -> Rhythm:
        return Rhythm(1.0, 1.0, self, self.sleep)


def scripted(outcome: Callable[[Region], Outcome]) -> Connect:
    """Return what connects to edges that answer whatever *outcome* says."""

    @asynccontextmanager
    async def connect(region: Region, *, keep: bool) -> AsyncIterator[Ask]:
        async def ask() -> EdgeStatus:
            await anyio.lowlevel.checkpoint()
            found = outcome(region)
            if found is None:
                await anyio.sleep_forever()
            if isinstance(found, Exception):
                raise found
            assert found is not None
            return found

        yield ask

    return connect


def in_turn(outcomes: Sequence[Outcome]) -> Callable[[Region], Outcome]:
    """Return *outcomes* one after another, the last of them for ever."""
    left = list(outcomes)
    return lambda region: left.pop(0) if len(left) > 1 else left[0]


@asynccontextmanager
async def watching(
    regions: Iterable[Region], connect: Connect | None, rhythm: Rhythm = QUICK
) -> AsyncIterator[Poller]:
    made = Poller(regions, connect, rhythm, THRESHOLDS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        yield made
        tasks.cancel_scope.cancel()


async def states(outcomes: Sequence[Outcome]) -> list[EdgeState]:
    """Return every state that the poller publishes of an edge on *outcomes*, the first before any."""
    seen: list[EdgeState] = []
    clock = Clock()
    async with watching([region("a-01")], scripted(in_turn([*outcomes, None])), clock.rhythm()) as it:
        while it.counts["a-01"].polls <= len(outcomes):
            if not seen or it.state.of("a-01") is not seen[-1]:
                seen.append(it.state.of("a-01"))
            await anyio.lowlevel.checkpoint()
    return seen
