"""Processes that a benchmark starts, and that never outlive it."""

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
_TAIL_CHARACTERS = 4000


KEPT_SETTINGS = {"NEAREDGE_CACHE"}
"""The one setting of whoever runs a benchmark that reaches a server: where models and GeoIP files are."""


class BenchmarkError(Exception):
    """A benchmark cannot go on; the message says why."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with *settings* in place of any of its own."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NEAREDGE_") or name in KEPT_SETTINGS
    }
    return {**inherited, **settings}


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, nice: int = 0
) -> Iterator[psutil.Process]:
    """Start *command* with its output in the file *log*; end it and all that it started on leaving.

    It gets a session of its own, so that Ctrl-C reaches only the benchmark, which then ends it here.
    """
    with log.open("wb") as output:
        process = psutil.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if nice:
            process.nice(nice)
        yield process
    finally:
        _stop(process)


def _stop(process: psutil.Popen) -> None:
    family = _family(process)
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    with suppress(psutil.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for member in {*family, *_family(process)}:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=STOP_SECONDS)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_until(
    ready: Callable[[], bool], process: psutil.Process, *, log: Path, what: str, seconds: float
) -> None:
    """Return once *ready* is true.

    Raises:
        BenchmarkError: *process* ended first, or *seconds* passed; the message has the end of its *log*.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise BenchmarkError(f"{what} ended; its log ends with\n{tail(log)}")
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what} was not ready within {seconds:g} s; its log ends with\n{tail(log)}")
        time.sleep(POLL_SECONDS)


def tail(log: Path) -> str:
    """Return the end of the file *log*."""
    return log.read_text("utf-8", "replace")[-_TAIL_CHARACTERS:]


def free_port() -> int:
    """Return a port of the loopback that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def end_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind this process as Ctrl-C does, so that what it started is ended."""

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, unwind)
    signal.signal(signal.SIGHUP, unwind)


def shown(command: Sequence[str]) -> str:
    """Write *command* as a shell takes it."""
    return shlex.join(command)
