"""One process at a time."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.artifacts.errors import StillLocked
from shared.artifacts.progress import Progress

_POLL_SECONDS = 0.2


@contextmanager
def exclusive(path: Path, progress: Progress, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lock file *path*, which the system releases when this process ends in whatever way.

    Raises:
        StillLocked: another process held it for *wait_seconds*.
    """
    with path.open("ab") as file:
        deadline = time.monotonic() + wait_seconds
        told = False
        while not _try(file.fileno()):
            if time.monotonic() >= deadline:
                raise StillLocked(
                    f"another process has been fetching into {path.parent} for {wait_seconds:g} s; "
                    "wait for it or end it, then try again"
                )
            if not told:
                progress.say(f"waiting: another process is fetching into {path.parent}")
                told = True
            time.sleep(_POLL_SECONDS)
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
