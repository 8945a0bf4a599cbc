"""Running a command that talks, with deadlines."""

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from shared.artifacts.errors import SourceFailed


def run_lines(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    environ: Mapping[str, str],
    seconds: float,
    silent_seconds: float,
) -> int:
    """Run *command*, hand every line that it prints to *on_line*, and return its exit status.

    Raises:
        SourceFailed: it took longer than *seconds*, or printed nothing for *silent_seconds*, and was killed.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(environ)
    )
    assert process.stdout is not None
    with process.stdout as pipe:
        try:
            _read(pipe.fileno(), on_line, time.monotonic() + seconds, silent_seconds)
            return process.wait(silent_seconds)
        except subprocess.TimeoutExpired:
            raise SourceFailed(f"{command[0]} did not end") from None
        finally:
            process.kill()
            process.wait()


def _read(descriptor: int, on_line: Callable[[str], None], deadline: float, silent_seconds: float) -> None:
    rest = b""
    while True:
        patience = min(silent_seconds, deadline - time.monotonic())
        ready, _, _ = select.select([descriptor], [], [], max(patience, 0))
        if not ready:
            raise SourceFailed(f"no progress for {silent_seconds:g} s, or too slow in all; it was stopped")
        data = os.read(descriptor, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            on_line(line.decode(errors="replace").rstrip())
    if rest:
        on_line(rest.decode(errors="replace").rstrip())
