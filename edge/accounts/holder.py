"""The name under which an edge holds leases."""

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def holder_name(home: Path, region: str) -> Iterator[str]:
    """Yield a name that no other process has, the same again after a restart.

    It is kept in *home* in a file that is locked meanwhile. A second edge of the same region and home gets a
    name for this time only.

    Raises:
        OSError: the file cannot be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"holder-{region}").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield f"{region}-{secrets.token_hex(8)}"
            return
        file.seek(0)
        name = file.read().strip()
        if not name:
            name = f"{region}-{secrets.token_hex(8)}"
            file.write(name)
            file.flush()
        yield name
