import os
import signal
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psutil
import pytest

from edge.errors import (
    LoadFailed,
    LoadStopped,
    ModelBusy,
    ModelNotFound,
    ModelNotLoaded,
    ModelNotReady,
    StillUnloading,
    WorkerFailed,
)
from edge.models import lifecycle
from edge.models.lifecycle import Loaded
from edge.models.puller import PullError
from edge.workers.messages import Generate, Text
from edge.workers.process import WorkerProcess
from edge.workers.worker import Tell
from shared.errors import Unavailable
from tests.edge.models.small_models import SmallEdge, build, loaded, running, small_model
from tests.edge.models.test_gguf_header import write

pytestmark = pytest.mark.anyio


async def ask(edge: SmallEdge, name: str, prompt: str) -> str:
    async with edge.models.find(name).worker.request(Generate(prompt=prompt)) as stream:
        return "".join([event.text async for _, event in stream if isinstance(event, Text)])


def pid(edge: SmallEdge, name: str) -> int:
    found = edge.models.find(name).worker.pid
    assert found is not None
    return found


async def test_a_model_is_loaded_used_unloaded_and_loaded_again(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a")]) as edge:
        assert edge.state("a") is None
        with pytest.raises(ModelNotLoaded, match="Model not loaded: a"):
            edge.models.find("a")
        assert await edge.lifecycle.load("who/A") == Loaded("a", "success", "a is loaded")
        assert edge.state("a") == "loaded"
        assert [served.id for served in edge.models] == ["a"]
        assert await ask(edge, "a", "say hello") == "hello"
        first = pid(edge, "a")

        assert (await edge.lifecycle.load("a")).message == "a is loaded already"
        assert pid(edge, "a") == first

        assert await edge.lifecycle.unload("local/a") == "a"
        assert not psutil.pid_exists(first)
        assert edge.state("a") == "unloaded"
        assert list(edge.models) == []
        with pytest.raises(ModelNotLoaded):
            edge.models.find("a")
        assert await edge.lifecycle.unload("a") == "a"

        assert (await edge.lifecycle.load("a")).status == "success"
        assert await ask(edge, "a", "say again") == "again"
        assert edge.pulled == ["a"]


async def test_only_the_catalogue_can_be_loaded(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a")]) as edge:
        for name in ("who/is/this", "hf:meta/llama", "../a", "nyc-01/a"):
            with pytest.raises(ModelNotFound, match="nearedge models list") as caught:
                await edge.lifecycle.load(name)
            assert caught.value.param == "model_name"
            with pytest.raises(ModelNotFound):
                await edge.lifecycle.unload(name)


async def test_loads_of_one_model_are_one_load(tmp_path: Path) -> None:
    others = _workers()
    async with running(tmp_path, [small_model(tmp_path, "a", sleep=0.5)]) as edge:
        answers: list[Loaded] = []

        async def load() -> None:
            answers.append(await edge.lifecycle.load("a"))

        async with anyio.create_task_group() as callers:
            for _ in range(5):
                callers.start_soon(load)
            await anyio.lowlevel.checkpoint()
            assert edge.state("a") == "loading"
            # a request waits for it too
            assert await ask(edge, "a", "say hello") == "hello"
        assert {answer.status for answer in answers} == {"success"}
        assert edge.pulled == ["a"]
        assert len(_workers() - others) == 1


def _workers() -> set[int]:
    """Return the worker processes of this test run; other modules keep some for all their tests."""
    children = psutil.Process().children()
    return {child.pid for child in children if "edge.workers.child" in child.cmdline()}


async def test_a_load_outlives_its_caller_and_the_next_one_joins_it(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a", sleep=1)], wait_seconds=0.3) as edge:
        with anyio.move_on_after(0.1):
            await edge.lifecycle.load("a")
        joined = await edge.lifecycle.load("a", reload=True)
        assert joined.status == "loading"
        assert joined.message.startswith("a is loading (starting, for ")
        assert edge.state("a") == "loading"
        await loaded(edge, "a")
        assert edge.pulled == ["a"]


async def test_it_says_how_far_the_files_are(tmp_path: Path) -> None:
    async def pull(_model: str, _cache: Path, tell: Tell, *, seconds: float) -> None:
        tell("fetching a.gguf, 3.0 MB of 9.0 MB")
        await anyio.sleep(60)

    async with running(tmp_path, [small_model(tmp_path, "a")], wait_seconds=0.2, pull=pull) as edge:
        told = await edge.lifecycle.load("a")
        assert told.status == "loading"
        assert "(fetching a.gguf, 3.0 MB of 9.0 MB, for 0 s)" in told.message
        await edge.lifecycle.unload("a")
        assert edge.state("a") == "unloaded"


async def test_files_that_cannot_be_had(tmp_path: Path) -> None:
    async def pull(*_: Any, seconds: float) -> None:
        raise PullError("no source has it")

    async with running(tmp_path, [small_model(tmp_path, "a")], pull=pull) as edge:
        with pytest.raises(LoadFailed, match="a did not load: no source has it") as caught:
            await edge.lifecycle.load("a")
        assert caught.value.code == "pull_failed"
        assert edge.state("a") == "failed"
        with pytest.raises(ModelNotLoaded):
            edge.models.find("a")
        assert await edge.lifecycle.unload("a") == "a"
        assert edge.state("a") == "unloaded"


async def test_pulls_take_turns(tmp_path: Path) -> None:
    under_way: set[str] = set()
    most = 0
    go_on = anyio.Event()

    async def pull(model: str, _cache: Path, _tell: Tell, *, seconds: float) -> None:
        nonlocal most
        under_way.add(model)
        most = max(most, len(under_way))
        await go_on.wait()
        under_way.discard(model)
        raise PullError("over")

    models = [small_model(tmp_path, name) for name in "abcd"]
    async with running(tmp_path, models, wait_seconds=0.3, pull=pull) as edge:
        told = [await edge.lifecycle.load(name) for name in "abc"]
        assert "waiting for other models" in told[2].message
        go_on.set()
        for name in "abcd":
            with pytest.raises(LoadFailed):
                await edge.lifecycle.load(name)
    assert most == lifecycle.PULLS_AT_ONCE


async def test_a_model_that_does_not_come_up(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a", fail="bad weights")]) as edge:
        for _ in range(2):
            with pytest.raises(LoadFailed, match=r"a did not load: .*bad weights$"):
                await edge.lifecycle.load("a")
            assert edge.state("a") == "failed"


async def test_a_configured_model_that_fails_is_tried_again_and_stops_nothing(tmp_path: Path) -> None:
    models = [small_model(tmp_path, "bad", fail="bad weights"), small_model(tmp_path, "good")]
    async with running(tmp_path, models, configured=["bad", "good"]) as edge:
        await loaded(edge, "good")
        with pytest.raises(LoadFailed, match="bad weights; it is tried again by itself"):
            await edge.lifecycle.load("bad")
        with pytest.raises(ModelNotReady):
            await ask(edge, "bad", "say hello")
        assert [served.id for served in edge.models] == ["bad", "good"]
        await edge.lifecycle.unload("bad")
        assert [served.id for served in edge.models] == ["good"]


async def test_a_damaged_file_never_reaches_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write(tmp_path / "whole.gguf").read_bytes()
    models = [small_model(tmp_path, "cut", whole[:-100]), small_model(tmp_path, "whole", whole)]

    async def start(*_: object, **__: object) -> WorkerProcess:
        raise AssertionError("no process may start")

    async with running(tmp_path, models) as edge:
        monkeypatch.setattr(WorkerProcess, "start", start)
        with pytest.raises(LoadFailed, match=r"model\.gguf is damaged") as caught:
            await edge.lifecycle.load("cut")
        monkeypatch.undo()
        assert caught.value.code == "damaged_model"
        assert "nearedge models verify cut" in caught.value.detail
        assert (await edge.lifecycle.load("whole")).status == "success"


async def test_a_model_in_use_stays_unless_forced(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a")], configured=["a"]) as edge:
        first = await loaded(edge, "a")
        async with edge.models.find("a").worker.request(Generate(prompt="forever")) as stream:
            await anext(stream)
            for attempt in (edge.lifecycle.unload("a"), edge.lifecycle.load("a", reload=True)):
                with pytest.raises(ModelBusy, match="a has a request in flight"):
                    await attempt
            await anext(stream)
            assert (edge.state("a"), pid(edge, "a")) == ("loaded", first)

            assert (await edge.lifecycle.load("a")).message == "a is loaded already"
            await edge.lifecycle.unload("a", force=True)
            assert not psutil.pid_exists(first)
            with pytest.raises(WorkerFailed, match="The model was unloaded"):
                await _read(stream)
        assert edge.state("a") == "unloaded"


async def _read(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_a_forced_reload_is_another_process_and_new_requests_wait_for_it(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a", sleep=0.3)], configured=["a"]) as edge:
        first = await loaded(edge, "a")
        async with edge.models.find("a").worker.request(Generate(prompt="forever")) as stream:
            await anext(stream)
            async with anyio.create_task_group() as callers:
                callers.start_soon(lambda: edge.lifecycle.load("a", reload=True, force=True))
                await anyio.sleep(0.05)
                assert edge.state("a") == "loading"
                assert await ask(edge, "a", "say new") == "new"
            with pytest.raises(WorkerFailed, match="The model was reloaded"):
                await _read(stream)
        assert pid(edge, "a") != first
        assert not psutil.pid_exists(first)


async def test_unloading_ends_a_load_but_not_under_a_request_that_waits(tmp_path: Path) -> None:
    others = _workers()
    async with running(tmp_path, [small_model(tmp_path, "a", sleep=30)]) as edge:
        outcomes: list[str] = []

        async def load() -> None:
            try:
                await edge.lifecycle.load("a")
            except LoadStopped as error:
                outcomes.append(str(error.code))

        async def request() -> None:
            try:
                await ask(edge, "a", "say hello")
            except ModelNotLoaded as error:
                outcomes.append(str(error.code))

        async with anyio.create_task_group() as callers:
            callers.start_soon(load)
            await anyio.sleep(0.3)
            callers.start_soon(request)
            await anyio.sleep(0.05)
            with pytest.raises(ModelBusy):
                await edge.lifecycle.unload("a")
            await edge.lifecycle.unload("a", force=True)
        assert sorted(outcomes) == ["load_stopped", "model_not_loaded"]
        assert _workers() == others


async def test_a_load_that_follows_an_unload_waits_for_the_old_process(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a")], configured=["a"]) as edge:
        old = await loaded(edge, "a")
        os.kill(old, signal.SIGSTOP)  # it cannot end by itself: it is killed after two seconds
        began = time.monotonic()
        async with anyio.create_task_group() as callers:
            callers.start_soon(edge.lifecycle.unload, "a")
            await anyio.sleep(0.05)
            assert edge.state("a") == "unloaded"
            callers.start_soon(edge.lifecycle.load, "a")
            await anyio.sleep(0.05)
            assert edge.state("a") == "loading"
            while psutil.pid_exists(old):
                assert edge.models.find("a").worker.pid is None
                await anyio.sleep(0.02)
        assert time.monotonic() - began > 1.5
        assert edge.state("a") == "loaded"


async def test_an_unload_that_takes_too_long_says_so_and_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a")], configured=["a"], wait_seconds=0.2) as edge:
        old = await loaded(edge, "a")
        os.kill(old, signal.SIGSTOP)
        with pytest.raises(StillUnloading):
            await edge.lifecycle.unload("a")
        done = await edge.lifecycle.unload_all()
        assert (done.models, done.errors) == ((), ())
        with anyio.fail_after(10):
            while psutil.pid_exists(old):
                await anyio.sleep(0.05)
        assert edge.state("a") == "unloaded"


async def test_a_worker_that_died_is_loading_and_can_be_joined(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a", sleep=0.3)]) as edge:
        await edge.lifecycle.load("a")
        old = pid(edge, "a")
        os.kill(old, signal.SIGKILL)
        with anyio.fail_after(10):
            while edge.state("a") == "loaded":
                await anyio.sleep(0.005)
        assert edge.state("a") == "loading"
        assert (await edge.lifecycle.load("a")).status == "success"
        assert pid(edge, "a") != old


async def test_unload_all_leaves_what_is_in_use(tmp_path: Path) -> None:
    models = [small_model(tmp_path, name) for name in "abc"]
    async with running(tmp_path, models, configured=["a", "b"]) as edge:
        pids = [await loaded(edge, name) for name in "ab"]
        async with edge.models.find("a").worker.request(Generate(prompt="forever")) as stream:
            await anext(stream)
            done = await edge.lifecycle.unload_all()
            assert done.models == ("b",)
            assert [error.split(" has ")[0] for error in done.errors] == ["a"]
            assert {name: edge.state(name) for name in "abc"} == {"a": "loaded", "b": "unloaded", "c": None}
            assert (await edge.lifecycle.unload_all(force=True)).models == ("a",)
        assert not any(map(psutil.pid_exists, pids))
        done = await edge.lifecycle.unload_all()
        assert (done.models, done.errors, done.late) == ((), (), False)


async def test_files_that_vanished_are_fetched_again(tmp_path: Path) -> None:
    async with running(tmp_path, [small_model(tmp_path, "a")], configured=["a"]) as edge:
        await loaded(edge, "a")
        (edge.cache / "models" / "a" / "model.bin").unlink()
        assert (await edge.lifecycle.load("a", reload=True)).status == "success"
        assert edge.pulled == ["a"]


async def test_at_the_end_every_process_is_gone_and_nothing_more_is_loaded(tmp_path: Path) -> None:
    others = _workers()
    models = [small_model(tmp_path, "a"), small_model(tmp_path, "b", sleep=30), small_model(tmp_path, "c")]
    edge = build(tmp_path, models, configured=["a", "b"])
    outcomes: list[str] = []

    async def load() -> None:
        try:
            await edge.lifecycle.load("b")
        except LoadStopped as error:
            outcomes.append(str(error.code))

    async with anyio.create_task_group() as callers, edge.lifecycle.running():
        old = await loaded(edge, "a")
        callers.start_soon(load)
        await anyio.sleep(0.3)
    assert outcomes == ["load_stopped"]
    assert not psutil.pid_exists(old)
    assert _workers() == others
    with pytest.raises(Unavailable) as caught:
        await edge.lifecycle.load("c")
    assert caught.value.code == "shutting_down"


async def test_a_mistake_in_one_load_ends_nothing_else(tmp_path: Path) -> None:
    async def pull(*_: Any, seconds: float) -> None:
        raise ZeroDivisionError("a secret")

    models = [small_model(tmp_path, name) for name in "ab"]
    async with running(tmp_path, models, configured=["a"], pull=pull) as edge:
        await loaded(edge, "a")
        with pytest.raises(LoadFailed, match="something unexpected"):
            await edge.lifecycle.load("b")
        assert await ask(edge, "a", "say hello") == "hello"
        assert edge.state("b") == "failed"
