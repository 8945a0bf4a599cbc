import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.jobs import JobFailed
from edge.jobs.workflows import Workflows

pytestmark = pytest.mark.anyio


async def work(workflow_id: str, order: dict[str, Any]) -> dict[str, Any]:
    """Sleep for ``seconds``, fail with ``failure``, or answer with ``answer``."""
    if "failure" in order:
        raise JobFailed(order["failure"], "as_asked")
    await asyncio.sleep(order.get("seconds", 0))
    return {"answer": order.get("answer"), "id": workflow_id}


ENDED: list[str] = []
"""The workflows whose end was told."""


@asynccontextmanager
async def opened(directory: Path, *, executor: str = "here") -> AsyncIterator[Workflows]:
    workflows = Workflows(directory / "jobs.db", name="test", executor=executor, run=work, ended=ENDED.append)
    await workflows.start()
    try:
        yield workflows
    finally:
        await workflows.stop()


async def end_of(workflows: Workflows, workflow_id: str, seconds: float = 10) -> str:
    deadline = time.monotonic() + seconds
    while True:
        record = await workflows.find(workflow_id)
        assert record is not None
        if record.ended_at is not None:
            return record.state
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_workflow_begins_at_once_and_its_result_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as workflows:
        await workflows.begin("w1", "me", {"answer": 42})
        assert await end_of(workflows, "w1", seconds=0.9) == "SUCCESS"
        for _ in range(2):
            record = await workflows.find("w1")
            assert record is not None
            assert (record.owner, record.result) == ("me", {"answer": 42, "id": "w1"})
        assert await workflows.find("w2") is None


async def test_one_that_fails_keeps_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with opened(tmp_path) as workflows:
            await workflows.begin("w1", "me", {"failure": "no sound"})
            assert await end_of(workflows, "w1") == "ERROR"
            (listed,) = await workflows.of_owner("me", limit=5, offset=0)
    assert isinstance(listed.error, JobFailed)
    assert (listed.error.message, listed.error.code) == ("no sound", "as_asked")
    assert caplog.records == []


async def test_what_is_stopped_goes_on_in_the_next_process(tmp_path: Path) -> None:
    ENDED.clear()
    async with opened(tmp_path) as workflows:
        await workflows.begin("w1", "me", {"seconds": 0.4, "answer": 1})
        await asyncio.sleep(0.1)
    assert ENDED == []
    async with opened(tmp_path) as workflows:
        assert [record.id for record in await workflows.waiting()] == ["w1"]
        assert await end_of(workflows, "w1") == "SUCCESS"
        await asyncio.sleep(0.05)
        assert ENDED == ["w1"]
        assert await workflows.waiting() == []


async def test_another_executor_leaves_it_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as workflows:
        await workflows.begin("w1", "me", {"seconds": 0.2})
    async with opened(tmp_path, executor="elsewhere") as workflows:
        await asyncio.sleep(1.5)
        record = await workflows.find("w1")
        assert record is not None
        assert record.state == "PENDING"


async def test_one_that_is_cancelled_never_comes_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as workflows:
        await workflows.begin("w1", "me", {"seconds": 60})
        await asyncio.sleep(0.1)
        await workflows.cancel("w1")
        assert await end_of(workflows, "w1") == "CANCELLED"
    async with opened(tmp_path) as workflows:
        await asyncio.sleep(1.2)
        assert await end_of(workflows, "w1") == "CANCELLED"


async def test_owners_see_their_own_and_old_ones_can_be_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as workflows:
        for number in range(3):
            await workflows.begin(f"mine{number}", "me", {})
            await workflows.begin(f"theirs{number}", "they", {})
            assert await end_of(workflows, f"mine{number}") == "SUCCESS"
            assert await end_of(workflows, f"theirs{number}") == "SUCCESS"
        mine = await workflows.of_owner("me", limit=10, offset=0)
        assert {record.id for record in mine} == {"mine0", "mine1", "mine2"}
        assert len(await workflows.of_owner("me", limit=2, offset=2)) == 1
        old = await workflows.ended_before(time.time() + 2, limit=4)
        assert len(old) == 4
        await workflows.forget(old)
        assert len(await workflows.ended_before(time.time() + 2, limit=9)) == 2
        assert await workflows.ended_before(time.time() - 60, limit=9) == []


async def test_only_one_is_started_in_a_process(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(RuntimeError, match="already"):
            await Workflows(
                tmp_path / "other.db", name="test", executor="x", run=work, ended=ENDED.append
            ).start()
    async with opened(tmp_path):
        pass


async def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs"):
        assert (tmp_path / "jobs" / "jobs.db").stat().st_mode & 0o077 == 0
        assert (tmp_path / "jobs").stat().st_mode & 0o077 == 0
