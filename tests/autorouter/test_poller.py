import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream
from pydantic import SecretStr
from structlog.testing import capture_logs

from autorouter import poller
from autorouter.edge_client import Ask, Miss
from autorouter.edge_health import Manner
from autorouter.grid_state import UNKNOWN, GridState
from autorouter.poller import JITTER, Poller, Rhythm
from autorouter.settings import AutorouterSettings
from shared.edge_status import EdgeStatus
from shared.regions import Region
from tests.autorouter import edges
from tests.autorouter.edges import eventually, region, status
from tests.autorouter.polling import (
    HTTP,
    THRESHOLDS,
    Clock,
    Outcome,
    in_turn,
    scripted,
    states,
    watching,
)

pytestmark = pytest.mark.anyio


async def test_the_first_polls_begin_at_once() -> None:
    async with edges.edge(edges.well()) as a, edges.edge(edges.well("b-01")) as b:
        slow = Rhythm(3600, 10)
        async with watching([a.region(), b.region("b-01")], HTTP, slow) as it:
            assert it.state == GridState({"a-01": UNKNOWN, "b-01": UNKNOWN}, watched=True)
            await eventually(lambda: all(it.state.of(name).models for name in ("a-01", "b-01")))


async def test_without_a_secret_nothing_is_watched() -> None:
    with anyio.fail_after(10):
        it = Poller.of(AutorouterSettings(), [region("a-01")])
        await it.run()
        it.follow([region("b-01")])
        assert await it.survey() == GridState() == it.state
    assert it.counts == {}


async def test_the_settings_count() -> None:
    settings = AutorouterSettings(
        internal_secret=SecretStr("s3cret"),
        autorouter_poll_seconds=0.01,
        autorouter_poll_timeout_seconds=5,
        autorouter_down_after=2,
        autorouter_up_after=1,
    )
    async with edges.edge(edges.well()) as edge:
        it = Poller.of(settings, [edge.region()])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.run)
            await eventually(lambda: it.counts["a-01"].polls > 3)
            tasks.cancel_scope.cancel()
    assert "authorization: bearer s3cret\r\n" in edge.heads[0].lower()
    assert it.state.of("a-01").models


async def test_down_after_three_misses_and_up_after_ten_answers() -> None:
    well, gone = status(), Miss("gone")
    seen = await states([well, gone, gone, well, *[gone] * 3, *[well] * 9, gone, *[well] * 10])
    assert [state.up for state in seen] == [True, True, False, True]
    assert seen[0] is UNKNOWN
    assert seen[1].models


async def test_polls_keep_their_rhythm_give_or_take_a_fifth() -> None:
    clock = Clock()
    async with watching([region("a-01")], scripted(lambda _: status()), clock.rhythm()) as it:
        await eventually(lambda: it.counts["a-01"].polls > 500)
    assert all(1 - JITTER <= slept <= 1 + JITTER for slept in clock.slept)
    assert max(clock.slept) - min(clock.slept) > JITTER
    assert math.isclose(sum(clock.slept) / len(clock.slept), 1, abs_tol=0.05)


async def test_the_time_that_a_poll_takes_is_part_of_the_rhythm() -> None:
    clock = Clock()

    def slow(_: Region) -> EdgeStatus:
        clock.now += 0.5
        return status()

    async with watching([region("a-01")], scripted(slow), clock.rhythm()) as it:
        await eventually(lambda: it.counts["a-01"].polls > 50)
    assert max(clock.slept) <= 0.7 + 1e-6


async def test_an_edge_that_flaps_every_second_does_not_flap_the_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poller, "random", random.Random(4))
    clock = Clock()

    def flapping(_: Region) -> Outcome:
        return status() if int(clock.now) % 2 == 0 else Miss("gone")

    changes = 0
    async with watching([region("a-01")], scripted(flapping), clock.rhythm()) as it:
        up = True
        while clock.now < 3600:
            await anyio.lowlevel.checkpoint()
            changes += it.state.of("a-01").up is not up
            up = it.state.of("a-01").up
        counts = it.counts["a-01"]
    assert counts.polls * 0.4 < counts.misses < counts.polls * 0.6
    # The rhythm and the flapping drift past each other: three misses in a row come about, ten answers in a
    # row hardly ever do.
    assert changes <= 1


async def test_a_poll_that_hangs_costs_nobody_anything() -> None:
    async with edges.edge(edges.hanging) as hung, edges.edge(edges.well()) as well:
        regions = [well.region(), *(region(f"h-{number}", hung.url) for number in range(50))]
        async with watching(regions, HTTP, Rhythm(0.02, 60)) as it:
            await eventually(lambda: hung.open == 50)
            before = it.counts["a-01"].polls
            with anyio.fail_after(5):
                await eventually(lambda: it.counts["a-01"].polls >= before + 20)
            assert it.counts["a-01"].misses == 0
            assert [it.counts[f"h-{number}"].polls for number in range(50)] == [1] * 50
        await eventually(lambda: hung.open == well.open == 0)


async def test_a_poll_has_a_deadline_from_its_connection_to_its_last_byte() -> None:
    async def dripping(stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.05)

    for answer in (edges.hanging, dripping):
        async with edges.edge(answer) as edge:
            with capture_logs() as logs:
                async with watching([edge.region()], HTTP, Rhythm(0.02, 0.3)) as it:
                    await eventually(lambda: it.counts["a-01"].misses >= 2)
            assert not it.state.of("a-01").up
            await eventually(lambda: edge.open == 0)
        assert {line["reason"] for line in logs} == {"no answer within 0.3 s"}


async def test_an_edge_that_dies_and_comes_back_is_seen_doing_it() -> None:
    async with edges.edge(edges.well()) as edge, watching([edge.region()], HTTP) as it:
        await eventually(lambda: bool(it.state.of("a-01").models))
        await edge.kill()
        await eventually(lambda: not it.state.of("a-01").up)
        assert it.state.of("a-01").models
        before = it.counts["a-01"].polls - it.counts["a-01"].misses
        async with edges.edge(edges.well(), port=edge.port):
            await eventually(lambda: it.state.of("a-01").up)
        answers = it.counts["a-01"].polls - it.counts["a-01"].misses - before
        assert answers >= THRESHOLDS.up_after


async def test_whatever_one_edge_does_the_others_are_watched(logs: list[Any]) -> None:
    def odd(where: Region) -> Outcome:
        return RuntimeError("a bug") if where.id == "bug" else status(where.id)

    async with watching([region("bug"), region("a-01")], scripted(odd), Clock().rhythm()) as it:
        await eventually(lambda: it.counts["a-01"].polls > 20 and it.counts["bug"].misses > 20)
    assert (it.state.of("a-01").up, it.state.of("bug").up) == (True, False)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["edge_poll_failed"]


async def test_changes_are_logged_and_not_polls(logs: list[Any]) -> None:
    well, gone, other = status(), Miss("gone"), Miss("another")
    outcomes = (
        [well] * 5 + [gone] * 20 + [other] * 20 + [gone] * 9 + [well] * 20 + [status(draining=True)] * 9
    )
    await states(outcomes)
    assert [
        (line["log_level"], line["event"], line["region"], line["up"], line["draining"], line["reason"])
        for line in logs
    ] == [
        ("info", "edge_state", "a-01", True, False, None),
        ("warning", "edge_state", "a-01", False, False, "gone"),
        ("warning", "edge_state", "a-01", False, False, "another"),
        ("info", "edge_state", "a-01", True, False, None),
        ("info", "edge_state", "a-01", True, True, None),
    ]


async def test_an_edge_cannot_fill_the_log(logs: list[Any]) -> None:
    await states([Miss(f"reason {number}") for number in range(200)])
    assert len(logs) == poller.REASONS


async def test_polls_and_misses_are_counted() -> None:
    outcomes: list[Outcome] = [status(), Miss("gone"), status(), Miss("gone"), Miss("gone"), None]
    async with watching([region("a-01")], scripted(in_turn(outcomes)), Clock().rhythm()) as it:
        await eventually(lambda: it.counts["a-01"].polls == 6)
        assert it.counts["a-01"].misses == 3


async def test_only_so_many_polls_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {Manner.ANSWERING: 3, Manner.FAILING: 1, Manner.SILENT: 2}
    monkeypatch.setattr(poller, "POLLS_AT_ONCE", few)
    async with edges.edge(edges.hanging) as edge:
        regions = [region(f"a-{number}", edge.url) for number in range(9)]
        async with watching(regions, HTTP, Rhythm(0.02, 0.1)) as it:

            def under_way() -> int:
                return sum(counts.polls - counts.misses for counts in it.counts.values())

            first, later = 0, 0
            while sum(counts.misses for counts in it.counts.values()) < 30:
                if all(counts.misses for counts in it.counts.values()):
                    later = max(later, under_way())
                elif not any(counts.misses for counts in it.counts.values()):
                    first = max(first, under_way())
                await anyio.sleep(0.005)
        assert (first, later) == (3, 2)


@pytest.mark.parametrize(("most", "kept"), [(2, True), (1, False)])
async def test_connections_are_kept_as_long_as_there_are_not_too_many(
    monkeypatch: pytest.MonkeyPatch, most: int, kept: bool
) -> None:
    monkeypatch.setattr(poller, "KEPT_CONNECTIONS", most)
    async with (
        edges.edge(edges.well()) as a,
        edges.edge(edges.well("b-01")) as b,
        watching([a.region(), b.region("b-01")], HTTP) as it,
    ):
        await eventually(lambda: it.counts["a-01"].polls > 5 and it.counts["b-01"].polls > 5)
    assert (a.opened == 1, b.opened == 1) == (kept, kept)


async def test_a_survey_asks_every_edge_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PAUSE_PER_EDGE_SECONDS", 1e9)
    async with edges.edge(edges.well()) as well, edges.edge(edges.hanging) as hung:
        regions = [well.region(), hung.region("b-01"), region("c-01")]
        with anyio.fail_after(20):
            found = await Poller(regions, HTTP, Rhythm(3600, 0.5), THRESHOLDS).survey()
    assert found.watched
    assert {name: state.up for name, state in found.edges.items()} == {
        "a-01": True,
        "b-01": False,
        "c-01": False,
    }
    assert (len(well.heads), len(hung.heads)) == (1, 1)


async def test_edges_that_hang_delay_neither_those_that_answer_nor_news_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = {Manner.ANSWERING: 2, Manner.FAILING: 1, Manner.SILENT: 1}
    monkeypatch.setattr(poller, "POLLS_AT_ONCE", few)
    dies = anyio.Event()

    def outcome(where: Region) -> Outcome:
        well = where.id == "a-01" or (where.id == "b-01" and not dies.is_set())
        return status(where.id) if well else None

    hung = [region(f"h-{number}") for number in range(100)]
    regions = [region("a-01"), region("b-01"), *hung]
    async with watching(regions, scripted(outcome), Rhythm(0.02, 0.1)) as it:
        await eventually(lambda: all(it.counts[where.id].misses for where in hung))
        before = it.counts["a-01"].polls
        # Those that hang take ten seconds to be asked once more.
        with anyio.fail_after(5):
            await eventually(lambda: it.counts["a-01"].polls > before + 50)
            dies.set()
            await eventually(lambda: not it.state.of("b-01").up)
        assert it.counts["a-01"].misses == 0


@pytest.fixture
def logs() -> Any:
    with capture_logs() as captured:
        yield captured


async def test_edge_that_cannot_be_connected_to_is_a_miss_and_tried_again() -> None:
    """Whatever goes wrong before the first question, too."""
    fails = [True] * 5

    @asynccontextmanager
    async def connect(region: Region, *, keep: bool) -> AsyncIterator[Ask]:
        if fails and fails.pop():
            raise RuntimeError("no client")
        async with scripted(lambda _: status())(region, keep=keep) as ask:
            yield ask

    with capture_logs() as logs:
        async with watching([region("a-01")], connect, Clock().rhythm()) as it:
            await eventually(lambda: it.counts["a-01"].misses == 5)
            await eventually(lambda: it.state.of("a-01").up and it.state.of("a-01").models is not None)
    assert [log["event"] for log in logs].count("edge_poll_failed") == 1
