"""A new regions.yaml without a restart: SIGHUP has it read again."""

import signal
import time
from collections.abc import Callable

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus

from autorouter.grid import Grid
from shared.regions import RegionsError
from shared.settings import SettingsError

log = structlog.get_logger(__name__)


def hold() -> None:
    """Keep a SIGHUP that arrives from now on until :func:`reload_on_hangup` listens.

    Without it the signal ends the process. Call it before the regions are first read: what changes after
    that is then read, too.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])


async def reload_on_hangup(
    load: Callable[[], Grid],
    publish: Callable[[Grid], None],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """At every SIGHUP, *load* a grid in a thread and *publish* it; until cancelled, from the main thread.

    One that cannot be used is logged, and the present one stays, whatever the reason.
    """
    with anyio.open_signal_receiver(signal.SIGHUP) as hangups:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        task_status.started()
        async for _ in hangups:
            started = time.monotonic()
            try:
                grid = await anyio.to_thread.run_sync(load, abandon_on_cancel=True)
                publish(grid)
            except (RegionsError, SettingsError) as error:
                log.warning("regions_refused", reason=str(error))
                continue
            except Exception:
                # Whatever it is, the grid at hand still answers.
                log.exception("regions_reload_failed")
                continue
            seconds = round(time.monotonic() - started, 3)
            log.info("regions_replaced", regions=len(grid.regions), seconds=seconds)
