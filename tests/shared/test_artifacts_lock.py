import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.artifacts import Silent, StillLocked
from shared.artifacts.lock import exclusive

HOLD = """
import sys, time
from pathlib import Path
from shared.artifacts import Silent
from shared.artifacts.lock import exclusive
with exclusive(Path(sys.argv[1]), Silent(), wait_seconds=5):
    print("held", flush=True)
    time.sleep(60)
"""


class Spoken(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def test_a_second_process_waits_says_so_and_gives_up(tmp_path: Path) -> None:
    lock, progress = tmp_path / ".lock", Spoken()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            locked = exclusive(lock, progress, wait_seconds=0.3)
            with pytest.raises(StillLocked, match="another process"), locked:
                pass
        finally:
            holder.kill()
    assert progress.lines == [f"waiting: another process is fetching into {tmp_path}"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    started = time.monotonic()
    with exclusive(lock, Silent(), wait_seconds=5):
        assert time.monotonic() - started < 4
