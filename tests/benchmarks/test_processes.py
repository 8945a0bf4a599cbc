import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import BenchmarkError, running, tail, wait_until

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
time.sleep(60)
"""


def test_a_process_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running([sys.executable, "-c", PARENT], environment=os.environ, log=log) as process:
        wait_until(lambda: tail(log) != "", process, log=log, what="the parent", seconds=30)
        child = int(tail(log))
        assert psutil.pid_exists(child)
    assert not process.is_running()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_one_that_does_not_end_when_told_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.processes.STOP_SECONDS", 0.2)
    log = tmp_path / "log"
    with running([sys.executable, "-c", DEAF], environment=os.environ, log=log) as process:
        wait_until(lambda: tail(log) != "", process, log=log, what="the process", seconds=30)
    assert not process.is_running()


def test_it_is_ended_also_when_the_benchmark_is_interrupted(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        pytest.raises(KeyboardInterrupt),
        running(sleep, environment=os.environ, log=tmp_path / "log") as process,
    ):
        raise KeyboardInterrupt
    assert not process.is_running()


def test_a_process_that_ends_before_it_is_ready_is_told_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    failing = [sys.executable, "-c", "raise SystemExit('no such file')"]
    with (
        running(failing, environment=os.environ, log=log) as process,
        pytest.raises(BenchmarkError, match=r"the server ended(?s:.*)no such file"),
    ):
        wait_until(lambda: False, process, log=log, what="the server", seconds=30)


def test_waiting_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    started = time.monotonic()
    with (
        running(sleep, environment=os.environ, log=log) as process,
        pytest.raises(BenchmarkError, match=r"not ready within 0\.2 s"),
    ):
        wait_until(lambda: False, process, log=log, what="the server", seconds=0.2)
    assert time.monotonic() - started < 30
