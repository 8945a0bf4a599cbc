from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from autorouter.edge_client import Ask
from autorouter.grid_state import UNKNOWN, GridState
from autorouter.poller import Poller, Rhythm
from shared.edge_status import EdgeStatus
from shared.regions import Region
from tests.autorouter import edges
from tests.autorouter.edges import eventually, region, status
from tests.autorouter.polling import (
    HTTP,
    QUICK,
    THRESHOLDS,
    watching,
)

pytestmark = pytest.mark.anyio


async def test_new_regions_are_followed_and_old_ones_left() -> None:
    async with (
        edges.edge(edges.well()) as stays,
        edges.edge(edges.well("b-01")) as leaves,
        edges.edge(edges.well("c-01")) as comes,
        watching([stays.region(), leaves.region("b-01")], HTTP) as it,
    ):
        await eventually(lambda: bool(it.state.of("a-01").models and it.state.of("b-01").models))
        known = it.state.of("a-01")
        polls = it.counts["a-01"].polls
        it.follow([stays.region(), comes.region("c-01")])
        assert it.state.edges == {"a-01": known, "c-01": UNKNOWN}
        assert it.counts["a-01"].polls == polls
        await eventually(lambda: bool(it.state.of("c-01").models))
        await eventually(lambda: leaves.open == 0)
        asked = len(leaves.heads)
        await eventually(lambda: it.counts["a-01"].polls > polls + 10)
        assert len(leaves.heads) == asked
        assert set(it.state.edges) == set(it.counts) == {"a-01", "c-01"}
        assert stays.opened == 1


async def test_a_region_that_moved_is_watched_anew() -> None:
    async with (
        edges.edge(edges.well()) as before,
        edges.edge(edges.hanging) as now,
        watching([before.region()], HTTP, Rhythm(0.02, 60)) as it,
    ):
        await eventually(lambda: bool(it.state.of("a-01").models))
        it.follow([now.region()])
        assert it.state.of("a-01") is UNKNOWN
        await eventually(lambda: now.open == 1 and before.open == 0)
        assert it.counts["a-01"].polls == 1


async def test_an_answer_that_was_under_way_when_its_region_left_is_dropped() -> None:
    answered = anyio.Event()

    @asynccontextmanager
    async def connect(region: Region, *, keep: bool) -> AsyncIterator[Ask]:
        async def ask() -> EdgeStatus:
            with anyio.CancelScope(shield=True):
                await answered.wait()
            return status()

        yield ask

    async with watching([region("a-01")], connect) as it:
        await eventually(lambda: it.counts["a-01"].polls == 1)
        it.follow([])
        answered.set()
        await anyio.sleep(0.05)
        assert it.state == GridState(watched=True)


async def test_regions_may_change_before_the_watch_begins() -> None:
    async with edges.edge(edges.well("b-01")) as edge:
        it = Poller([region("a-01")], HTTP, QUICK, THRESHOLDS)
        it.follow([edge.region("b-01")])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.run)
            await eventually(lambda: bool(it.state.of("b-01").models))
            assert set(it.counts) == {"b-01"}
            tasks.cancel_scope.cancel()


async def test_a_region_that_came_and_left_at_once_is_not_asked() -> None:
    async with edges.edge(edges.well("b-01")) as edge, watching([], HTTP) as it:
        await anyio.sleep(0.05)
        it.follow([edge.region("b-01")])
        it.follow([])
        await anyio.sleep(0.1)
        assert (edge.opened, it.state) == (0, GridState(watched=True))
