import anyio
import pytest
from structlog.testing import capture_logs

from edge.accounts.repeat import repeat
from edge.store import StoreError


@pytest.mark.anyio
async def test_work_goes_on_when_it_fails_and_that_is_logged_once() -> None:
    fails = [False, True, True, False, True]
    done = anyio.Event()

    async def work() -> None:
        if not fails:
            done.set()
        elif fails.pop(0):
            raise StoreError("gone")

    with capture_logs() as logs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(repeat, work, 0.001, "tending")
            with anyio.fail_after(5):
                await done.wait()
            tasks.cancel_scope.cancel()
    assert [entry["event"] for entry in logs] == [
        "work in the background fails",
        "work in the background goes on",
    ] * 2
    assert {entry["work"] for entry in logs} == {"tending"}
