"""Pulling a model while the edge serves: in a process of its own.

Unpacking and converting take the interpreter for seconds, and a process can be ended at any moment: what it
has fetched by then stays, and the next pull goes on with it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import orjson

from edge.workers.process import StartError
from shared.artifacts import megabytes

MAX_LINE_BYTES = 64 * 1024


class PullError(StartError):
    """The model's files cannot be had."""

    code = "pull_failed"


async def pull_apart(
    model_id: str,
    cache: Path,
    tell: Callable[[str], None],
    *,
    seconds: float,
    catalogue: Path | None = None,
) -> None:
    """Pull *model_id* of the shipped catalogue, or of the file *catalogue*, into *cache*.

    *tell* is told how far it is. Cancelling it ends the process.

    Raises:
        PullError: no source gives a file, the disk is too small, or it took longer than *seconds*.
    """
    arguments = [model_id, str(cache), *([str(catalogue)] if catalogue is not None else [])]
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge.models.pull_child", *arguments),
            stdin=asyncio.subprocess.PIPE,  # closed by the system when this process dies: the child then ends
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise PullError(f"no process can be started: {error.strerror or error}") from error
    try:
        with anyio.fail_after(seconds):
            why = await _follow(process, tell)
            status = await process.wait()
    except TimeoutError:
        raise PullError(f"its files could not be fetched within {seconds:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # pip runs below it
        with anyio.CancelScope(shield=True):
            await process.wait()
    if status != 0:
        raise PullError(why or f"the process that fetched its files ended with status {status}")


async def _follow(process: asyncio.subprocess.Process, tell: Callable[[str], None]) -> str | None:
    """Pass on what the process tells until it closes its output; return why it failed, if it says."""
    assert process.stdout is not None
    why = None
    async for line in process.stdout:
        match _parsed(line):
            case {"label": label, "done": done, "total": total}:
                of_all = f" of {megabytes(total)}" if total else ""
                tell(f"fetching {label}, {megabytes(done)}{of_all}")
            case {"say": message}:
                tell(message)
            case {"error": message}:
                why = message
    return why


def _parsed(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:  # a library that prints
        return None
