"""The log file of a service that runs in the background."""

import os
from pathlib import Path
from typing import BinaryIO

TAIL_BYTES = 8 * 1024
"""How much of a file's end is looked at for its last line."""


def renew(file: Path) -> BinaryIO:
    """Open *file* empty, to be appended to. What was in it is kept as ``<name>.1``; what was in that is lost.

    Raises:
        OSError: it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        file.replace(file.with_name(f"{file.name}.1"))
    return file.open("ab")


def last_line(file: Path) -> str:
    """Return the last line of *file* that is not blank, or nothing if there is none."""
    with file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = stream.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
