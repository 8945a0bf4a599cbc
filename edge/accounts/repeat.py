"""Work in the background that goes on when a database fails."""

from collections.abc import Awaitable, Callable

import anyio
import structlog

from edge.store import StoreError

log = structlog.get_logger(__name__)


async def repeat(work: Callable[[], Awaitable[None]], seconds: float, name: str) -> None:
    """Do *work* now and again and again, *seconds* apart, until cancelled.

    That it fails, and that it works again, is logged once each, under *name*.
    """
    failing = False
    while True:
        try:
            await work()
        except StoreError as error:
            if not failing:
                log.warning("work in the background fails", work=name, error=str(error))
            failing = True
        else:
            if failing:
                log.info("work in the background goes on", work=name)
            failing = False
        await anyio.sleep(seconds)
