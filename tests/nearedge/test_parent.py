import os
import signal
import subprocess
import sys
import time

import psutil

CHILD = """
import sys, time
from nearedge.parent import end_with_parent
end_with_parent(int(sys.argv[1]))
print("armed", flush=True)
time.sleep(60)
"""

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE)
assert child.stdout.readline() == b"armed\\n"
print(child.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_child_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            assert not gone(child)
        finally:
            parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_child_of_a_parent_that_is_already_dead_ends_at_once() -> None:
    other = os.getppid()  # the parent of the child's parent
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(other)], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b"")


def test_child_lives_as_long_as_its_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(os.getpid())], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "armed\n"
            assert child.poll() is None
        finally:
            child.kill()
