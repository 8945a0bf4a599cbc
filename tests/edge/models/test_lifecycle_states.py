"""Loads, unloads, requests and deaths in any order: the status is true, and nobody waits for ever."""

import asyncio
import contextlib
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.errors import WorkerFailed
from edge.models import lifecycle
from edge.workers import worker
from edge.workers.messages import Generate
from edge.workers.process import DIED
from shared.errors import ApiError
from tests.edge.models.fake_processes import FakeHost
from tests.edge.models.small_models import SmallEdge, build, small_model

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
turns = st.sampled_from([0, 1, 2, 3, 5, 8, 40])
"""How many turns of the event loop pass before the next thing happens."""


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.host = FakeHost()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(worker, "WorkerProcess", self.host)
        self.patch.setattr(worker, "backoff_seconds", lambda *_, **__: 0.0)
        self.directory = tempfile.TemporaryDirectory()
        self.forced: dict[str, int] = dict.fromkeys(NAMES, 0)
        self.deaths: dict[str, int] = dict.fromkeys(NAMES, 0)
        self.calls: list[asyncio.Task[None]] = []
        self.wrong: list[str] = []
        self.edge: SmallEdge
        self.over = asyncio.Event()
        self.begun = asyncio.Event()
        self.home = self.loop.create_task(self._live())
        self._run(self.begun.wait())
        self._settle()

    async def _live(self) -> None:
        path = Path(self.directory.name)
        self.edge = build(path, [small_model(path, name) for name in NAMES], configured=NAMES[:1])
        # The files are not looked at: that would take threads, and this test decides what happens when.
        self.patch.setattr(self.edge.lifecycle, "_prepare", self._prepare)
        async with self.edge.lifecycle.running():
            self.begun.set()
            await self.over.wait()

    async def _prepare(self, model: Any, _tell: Any) -> Any:
        await asyncio.sleep(0)
        return self.edge.models.order(model)

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    def _settle(self, turns: int = 40) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self._run(turn())

    def _call(self, coroutine: Coroutine[Any, Any, None], turns: int) -> None:
        self.calls.append(self.loop.create_task(coroutine))
        self._settle(turns)

    async def _load(self, name: str, reload: bool, force: bool) -> None:
        with contextlib.suppress(ApiError):
            told = await self.edge.lifecycle.load(name, reload=reload, force=force)
            if told.status != "success":
                self.wrong.append(f"{told} while nobody waited too long")

    async def _unload(self, name: str, force: bool) -> None:
        with contextlib.suppress(ApiError):
            await self.edge.lifecycle.unload(name, force=force)

    async def _request(self, name: str) -> None:
        forced, deaths = self.forced[name], self.deaths[name]
        try:
            served = self.edge.models.find(name)
            async with served.worker.request(Generate(prompt="x")) as stream:
                answered = [event async for _, event in stream]
            if len(answered) != 1:
                self.wrong.append(f"a request to {name} ended without an answer and without an error")
        except WorkerFailed as error:
            thrown_out = error.detail in {lifecycle.UNLOADED, lifecycle.RELOADED}
            if thrown_out and self.forced[name] == forced:
                self.wrong.append(f"{name} was taken from a request without force")
            if error.detail == DIED and self.deaths[name] == deaths:
                self.wrong.append(f"a request to {name} was told of a death that was none")
        except ApiError:
            pass

    @rule(name=names, reload=st.booleans(), force=st.booleans(), turns=turns)
    def load(self, name: str, reload: bool, force: bool, turns: int) -> None:
        self.forced[name] += reload and force
        self._call(self._load(name, reload, force), turns)

    @rule(name=names, force=st.booleans(), turns=turns)
    def unload(self, name: str, force: bool, turns: int) -> None:
        self.forced[name] += force
        self._call(self._unload(name, force), turns)

    @rule(force=st.booleans(), turns=turns)
    def unload_all(self, force: bool, turns: int) -> None:
        for name in NAMES:
            self.forced[name] += force

        async def unload_all() -> None:
            await self.edge.lifecycle.unload_all(force=force)

        self._call(unload_all(), turns)

    @rule(name=names, turns=turns)
    def request(self, name: str, turns: int) -> None:
        self._call(self._request(name), turns)

    @rule(which=st.integers(0, 100), turns=turns)
    def leave(self, which: int, turns: int) -> None:
        """Some caller goes away."""
        under_way = [call for call in self.calls if not call.done()]
        if under_way:
            under_way[which % len(under_way)].cancel()
            self._settle(turns)

    @precondition(lambda self: self.host.starting)
    @rule(name=names, well=st.sampled_from([True, True, True, False]), turns=turns)
    def come_up(self, name: str, well: bool, turns: int) -> None:
        self.host.come_up(name, well=well)
        self._settle(turns)

    @precondition(lambda self: self.host.running)
    @rule(name=names, turns=turns)
    def answer(self, name: str, turns: int) -> None:
        if name in self.host.running:
            self.host.running[name].answer()
            self._settle(turns)

    @precondition(lambda self: self.host.running)
    @rule(name=names, turns=turns)
    def die(self, name: str, turns: int) -> None:
        if name in self.host.running:
            self.deaths[name] += 1
            self.host.running[name].die()
            self._settle(turns)

    @invariant()
    def at_every_moment(self) -> None:
        assert self.host.trouble == []
        assert self.wrong == []
        for name, state in self.edge.models.states().items():
            if state == "loaded":
                assert name in self.host.running
            served = self.edge.models.get(name)
            assert served is not None
            assert served.worker.active or state in {"unloaded", "failed"}
            if state == "unloaded":
                assert not served.worker.active
                assert served.worker.pid is None or self.host.running[name].open_requests == 0

    @rule()
    def once_all_is_quiet(self) -> None:
        self._settle()
        for name in NAMES:
            state = self.edge.state(name)
            assert (name in self.host.running) == (state == "loaded")
            assert (name in self.host.starting) == (state == "loading")
            served = self.edge.models.get(name)
            listed = name in {other.id for other in self.edge.models}
            assert listed == (served is not None and served.worker.active)

    def teardown(self) -> None:
        try:
            self.over.set()
            self._run(self.home)  # type: ignore[arg-type]
            assert self.host.running == {}
            assert self.host.starting == {}
            self._settle()
            assert all(call.done() for call in self.calls), "somebody waits for ever"
            for call in self.calls:
                if not call.cancelled():
                    call.result()
            assert self.wrong == []
        finally:
            for call in self.calls:
                call.cancel()
            self._settle()
            self.loop.close()
            self.patch.undo()
            self.directory.cleanup()


def test_in_any_order() -> None:
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
