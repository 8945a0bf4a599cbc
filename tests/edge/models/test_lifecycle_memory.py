"""No load begins that the machine has no memory for."""

from pathlib import Path

import anyio
import pytest

from edge.errors import InsufficientMemory
from edge.workers.worker import State
from tests.edge.models.small_models import build, loaded, running, small_model

pytestmark = pytest.mark.anyio


async def test_a_load_that_does_not_fit_is_refused_and_nothing_is_unloaded_for_it(tmp_path: Path) -> None:
    models = [small_model(tmp_path, name) for name in "ab"]
    async with running(tmp_path, models, configured=["a"]) as edge:
        await loaded(edge, "a")
        edge.memory.free = 1_000_000
        with pytest.raises(
            InsufficientMemory, match=r"b needs about \d+ MB.* 1\.0 MB are free; unload .*: a"
        ):
            await edge.lifecycle.load("b")
        assert (edge.state("a"), edge.state("b")) == ("loaded", "failed")
        edge.memory.free = 10**9
        assert (await edge.lifecycle.load("b")).status == "success"


async def test_two_loads_do_not_share_the_same_memory(tmp_path: Path) -> None:
    models = [small_model(tmp_path, name, sleep=0.5) for name in "ab"]
    async with running(tmp_path, models) as edge:
        edge.memory.free = 150_000_000  # one needs 101 MB
        answers: list[str] = []

        async def load(name: str) -> None:
            try:
                answers.append((await edge.lifecycle.load(name)).status)
            except InsufficientMemory as error:
                answers.append(error.detail)

        async with anyio.create_task_group() as callers:
            callers.start_soon(load, "a")
            callers.start_soon(load, "b")
        refusal, success = sorted(answers)
        assert "promised to models that are loading" in refusal
        assert success == "success"


async def test_a_configured_model_that_did_not_fit_is_loaded_when_it_does(tmp_path: Path) -> None:
    edge = build(tmp_path, [small_model(tmp_path, "a")], configured=["a"])
    edge.memory.free = 0
    async with edge.lifecycle.running():
        with anyio.fail_after(10):
            assert await edge.models.find("a").worker.settled() is State.FAILED
        edge.memory.free = None
        with anyio.fail_after(30):
            while edge.state("a") != "loaded":
                await anyio.sleep(0.02)
