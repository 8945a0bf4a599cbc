from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from autorouter import poller
from autorouter.edge_client import Miss
from autorouter.grid_state import UNKNOWN, GridState
from shared.regions import Region
from tests.autorouter import edges
from tests.autorouter.edges import eventually, region, status
from tests.autorouter.polling import (
    HTTP,
    Clock,
    Outcome,
    in_turn,
    scripted,
    states,
    watching,
)

pytestmark = pytest.mark.anyio


async def test_a_draining_edge_is_known_with_the_next_poll() -> None:
    well, draining = status(), status(draining=True)
    seen = await states([well, draining, well, Miss("stopping", leaving=True), well])
    assert [state.draining for state in seen] == [False, False, True, False, True, False]
    assert all(state.up for state in seen)


async def test_the_state_is_replaced_only_when_something_changed() -> None:
    clock = Clock()
    async with watching([region("a-01")], scripted(lambda _: status(in_flight=1)), clock.rhythm()) as it:
        await eventually(lambda: it.counts["a-01"].polls > 1)
        before = it.state
        await eventually(lambda: it.counts["a-01"].polls > 100)
        assert it.state is before


async def test_a_published_state_never_changes() -> None:
    turns = in_turn([status(), Miss("gone")])
    async with watching([region("a-01")], scripted(turns), Clock().rhythm()) as it:
        first = it.state
        await eventually(lambda: not it.state.of("a-01").up)
    assert first == GridState({"a-01": UNKNOWN}, watched=True)


async def test_two_pollers_of_the_same_edges_say_the_same() -> None:
    async with edges.edge(edges.well()) as well:
        regions = [well.region(), well.region("b-01"), region("c-01")]
        async with watching(regions, HTTP) as one, watching(regions, HTTP) as other:
            await eventually(lambda: all(counts.polls > 5 for counts in one.counts.values()))
            await eventually(lambda: all(counts.polls > 5 for counts in other.counts.values()))
            assert one.state == other.state


def changing() -> Callable[[Region], Outcome]:
    """Return edges that turn busy with a poll and free again with the next."""
    asked: Counter[str] = Counter()

    def outcome(where: Region) -> Outcome:
        asked[where.id] += 1
        return status(where.id, in_flight=10 * (asked[where.id] % 2))

    return outcome


async def test_changes_are_published_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PAUSE_PER_EDGE_SECONDS", 10)
    clock = Clock()
    regions = [region("a-01"), region("b-01"), region("c-01")]
    async with watching(regions, scripted(changing()), clock.rhythm()) as it:
        seen = [(0.0, it.state)]
        while clock.now < 1000:
            await anyio.lowlevel.checkpoint()
            if it.state is not seen[-1][1]:
                seen.append((clock.now, it.state))
        polls = it.counts["a-01"].polls
    assert polls > 10 * len(seen) > 100
    assert all(after - before >= 30 for (before, _), (after, _) in pairwise(seen))


async def test_what_changes_last_is_published_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PAUSE_PER_EDGE_SECONDS", 50)
    clock = Clock()
    turns = in_turn([status(), Miss("gone")])
    async with watching([region("a-01")], scripted(turns), clock.rhythm()) as it:
        while clock.now < 50:
            assert it.state.of("a-01") is UNKNOWN
            await anyio.lowlevel.checkpoint()
        assert it.counts["a-01"].misses > 9
        assert not it.state.of("a-01").up


async def test_a_grid_of_usual_size_is_not_held_up() -> None:
    assert poller.PAUSE_PER_EDGE_SECONDS * 256 < 0.003


async def test_that_an_edge_drains_is_published_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PAUSE_PER_EDGE_SECONDS", 1e9)
    turns = {"a-01": in_turn([*[status()] * 5, status(draining=True)]), "b-01": changing()}
    outcomes = scripted(lambda where: turns[where.id](where))
    async with watching([region("a-01"), region("b-01")], outcomes, Clock().rhythm()) as it:
        first = it.state
        with anyio.fail_after(20):
            while it.state is first:
                await anyio.lowlevel.checkpoint()
        assert it.counts["a-01"].polls in (6, 7)
        assert it.state.of("a-01").draining
        assert it.state.of("b-01").models
