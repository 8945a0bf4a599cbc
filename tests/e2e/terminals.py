"""A command on a terminal of its own, as a person runs it."""

import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.services import descendants

_SPAWN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CTRL_C = b"\x03"


@dataclass
class Terminal:
    process: subprocess.Popen[bytes]
    text: str = ""

    def read_until(self, words: str, seconds: float) -> str:
        """Return all that was shown, without colours, once *words* are part of it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while words not in self.text:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {words!r} within {seconds:g} s in\n{self.text}"
            piece = self.process.stdout.read1()  # type: ignore[attr-defined]
            assert piece, f"ended before {words!r} was shown:\n{self.text}"
            self.text += _ESCAPES.sub("", piece.decode("utf-8", "replace")).replace("\r\n", "\n")
        return self.text

    def press(self, keys: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys)
        self.process.stdin.flush()


@contextmanager
def terminal(command: list[str], environment: dict[str, str]) -> Iterator[Terminal]:
    """Run *command* on a terminal. Nothing of it is left afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SPAWN, *command],
        env=environment | {"TERM": "xterm-256color"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            yield Terminal(process)
        finally:
            for leftover in descendants(process.pid):
                leftover.kill()
