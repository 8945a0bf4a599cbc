"""Noticing that a client has left."""

from collections.abc import Awaitable
from typing import TypeVar

import anyio
from starlette.types import Receive

from edge.errors import ClientGone

T = TypeVar("T")


async def wait_until_gone(receive: Receive) -> None:
    """Return once the client has closed the connection. Its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Return the result of *work*; stop it and raise ClientGone when the client leaves before its end."""
    result: list[T] = []
    failure: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def do() -> None:
            try:
                result.append(await work)
            except Exception as error:  # noqa: BLE001 - raised again below, outside of the task group
                failure.append(error)
            tasks.cancel_scope.cancel()

        tasks.start_soon(do)
        await wait_until_gone(receive)
        tasks.cancel_scope.cancel()
    if failure:
        raise failure[0]
    if not result:
        raise ClientGone
    return result[0]
