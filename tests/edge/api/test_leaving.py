import anyio
import pytest
from starlette.types import Message

from edge.api.leaving import unless_gone
from edge.errors import ClientGone

pytestmark = pytest.mark.anyio


async def never_leaves() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


async def leaves_soon() -> Message:
    await anyio.sleep(0.01)
    return {"type": "http.disconnect"}


async def test_work_that_ends_first_is_the_result() -> None:
    async def work() -> int:
        return 5

    assert await unless_gone(never_leaves, work()) == 5


async def test_a_client_that_leaves_stops_the_work() -> None:
    stopped = False

    async def work() -> None:
        nonlocal stopped
        try:
            await anyio.sleep_forever()
        finally:
            stopped = True

    with pytest.raises(ClientGone):
        await unless_gone(leaves_soon, work())
    assert stopped


async def test_a_failure_of_the_work_comes_as_it_is() -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await unless_gone(never_leaves, work())
