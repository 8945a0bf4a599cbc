import asyncio

import pytest

from edge.jobs.gate import FairGate

pytestmark = pytest.mark.anyio


class Visits:
    """Visitors of a gate: each stays until it is sent away."""

    def __init__(self, limit: int) -> None:
        self._gate = FairGate(limit)
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str) -> None:
        self._leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._visit(name))
        await self._settle()

    async def _visit(self, name: str) -> None:
        async with self._gate.place(name[0]):
            self.inside.append(name)
            try:
                await self._leave[name].wait()
            finally:
                self.inside.remove(name)

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_owners_take_turns() -> None:
    visits = Visits(1)
    for name in ("a1", "a2", "a3", "b1", "c1"):
        await visits.come(name)
    order = []
    while visits.inside:
        order += visits.inside
        await visits.leave(visits.inside[0])
    assert order == ["a1", "a2", "b1", "c1", "a3"]


async def test_no_more_are_inside_than_may_be() -> None:
    visits = Visits(2)
    for name in ("a1", "a2", "b1"):
        await visits.come(name)
    assert visits.inside == ["a1", "a2"]
    await visits.leave("a1")
    assert visits.inside == ["a2", "b1"]


async def test_who_gives_up_waiting_takes_no_place() -> None:
    visits = Visits(1)
    for name in ("a1", "b1", "c1"):
        await visits.come(name)
    visits.tasks["b1"].cancel()
    await visits.leave("a1")
    assert visits.inside == ["c1"]
    await visits.leave("c1")
    await visits.come("d1")
    assert visits.inside == ["d1"]
    await visits.leave("d1")


async def test_who_gives_up_as_his_turn_comes_passes_it_on() -> None:
    visits = Visits(1)
    for name in ("a1", "b1", "c1"):
        await visits.come(name)
    visits._leave["a1"].set()
    await asyncio.sleep(0)
    visits.tasks["b1"].cancel()
    await visits._settle()
    assert visits.inside == ["c1"]
    await visits.leave("c1")
