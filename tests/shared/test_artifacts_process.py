import os
import sys
import time

import pytest

from shared.artifacts import SourceFailed
from shared.artifacts.process import run_lines


def run(program: str, *, seconds: float = 20, silent_seconds: float = 20) -> tuple[int, list[str]]:
    lines: list[str] = []
    command = [sys.executable, "-c", program]
    status = run_lines(
        command, lines.append, environ=os.environ, seconds=seconds, silent_seconds=silent_seconds
    )
    return status, lines


def test_every_line_arrives_with_the_status() -> None:
    program = "import sys; print('a'); print('b', file=sys.stderr); sys.stdout.write('c'); sys.exit(3)"
    status, lines = run(program)
    assert status == 3
    assert sorted(lines) == ["a", "b", "c"] or sorted(lines) == ["ac", "b"]


def test_a_silent_command_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(SourceFailed, match="no progress"):
        run("import time; print(1, flush=True); time.sleep(60)", silent_seconds=0.5)
    assert time.monotonic() - started < 10


def test_a_talkative_command_is_stopped_too() -> None:
    program = "import time\nwhile True: print(1, flush=True); time.sleep(.05)"
    with pytest.raises(SourceFailed, match="too slow"):
        run(program, seconds=1)


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert run("import sys; sys.stdout.buffer.write(b'\\xff\\xfe ok\\n')") == (0, ["\ufffd\ufffd ok"])
