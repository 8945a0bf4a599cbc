"""Load over HTTP, by ``wrk``."""

import json
import subprocess
from pathlib import Path

from benchmarks.autorouter.cores import pinned
from benchmarks.autorouter.load import Load
from benchmarks.autorouter.tools import program
from benchmarks.processes import BenchmarkError

SCRIPT = Path(__file__).with_name("callers.lua")
GRACE_SECONDS = 30.0
TIMEOUT_SECONDS = 10


def ask(url: str, callers: Path, *, begin: int = 0, seconds: int, connections: int, core: int) -> Load:
    """Ask *url* for as many *seconds* as one caller of the file after another, over open *connections*.

    Raises:
        BenchmarkError: ``wrk`` fails, or a request does.
    """
    command = pinned(
        core,
        [
            *(program("wrk"), "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(SCRIPT)),
            *(url, "--", str(callers), str(begin)),
        ],
    )
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"wrk did not end within {seconds + GRACE_SECONDS:g} s") from None
    if done.returncode != 0:
        raise BenchmarkError(
            f"wrk failed with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return parse(done.stdout)


def parse(output: str) -> Load:
    """Read the line that the script prints at the end.

    Raises:
        BenchmarkError: there is none, or it tells of failed requests or of none at all.
    """
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchmarkError(f"wrk printed no result:\n{output}")
    found = json.loads(lines[-1])
    if found["failed"] or not found["requests"]:
        raise BenchmarkError(f"{found['failed']} of {found['requests']} requests failed")
    return Load(found["requests"], found["seconds"], found["p50_ms"], found["p99_ms"])
