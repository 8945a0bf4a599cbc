"""Makes the environment in .venv, or brings it up to date; does nothing when it already is.

Any Python from 3.7 on can run this with its standard library alone: it looks for a Python that is new
enough and for what compiling llama.cpp takes, and says what is missing. ``--dev`` adds developers' tools.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator  # noqa: UP035 - Python 3.7 has no subscriptable one

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "nearedge-install.json"
LOG = VENV / "nearedge-install.log"

OLDEST_PYTHON = (3, 11)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3.14", "python3", "python")
EXTRAS = ("autorouter", "edge")
NEEDED_GIB = 4
"""The environment, the build of llama.cpp, models while they are fetched: about 1 GiB each, and some air."""

TEMPORARY_GIB = 1
"""What of that pip and the compilers take where temporary files go, if that is another disk."""

UPDATE_GIB = 1
"""What bringing an environment up to date takes."""

PROBE_SECONDS = 30
TOLD_LINES = 15
STATUS_SECONDS = 30.0


class Missing(Exception):
    """Something on this machine is missing; the message says what to do."""


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="install the developers' tools too")
    extras = EXTRAS + (("dev",) if parser.parse_args().dev else ())
    try:
        if not is_current(extras):
            with only_one():
                if not is_current(extras):
                    make_environment(extras)
    except Missing as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where this one stopped")
        return 130
    return 0


def is_current(extras: tuple[str, ...]) -> bool:
    """Return whether the environment was made from the files that are here now, with these extras."""
    made_from, there = read_stamp()
    return made_from == digest() and there.issuperset(extras) and PYTHON.exists()


def read_stamp() -> tuple[str, set[str]]:
    """Return the digest and the extras of the last installation that was completed, if there was one."""
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
        return stamp["digest"], set(stamp["extras"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", set()


def digest() -> str:
    """Return what an environment depends on, as one value; scripts in it hold its path, so that counts."""
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    return hashlib.sha256(b"\0".join([os.fsencode(ROOT), *(file.read_bytes() for file in files)])).hexdigest()


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Keep two of these from working on one environment at once."""
    descriptor = os.open(str(ROOT), os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting: another process is making this environment")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_environment(extras: tuple[str, ...]) -> None:
    python = find_python()
    compiles = not has_llama()
    check_disk(NEEDED_GIB if compiles else UPDATE_GIB)
    if compiles:
        check_compilers()
    # `make run` does not take away what `make test` installed.
    wanted = sorted(read_stamp()[1].union(extras))
    with contextlib.suppress(OSError):
        STAMP.unlink()
    if not works(PYTHON):
        say(f"making the environment {VENV} with {python}")
        make_venv(python)
    LOG.write_text("", "utf-8")
    # A new pip shows how far a download is; and this small step tells early whether the index answers.
    pip_install(["pip"], "installing pip")
    if compiles:
        say("llama.cpp is compiled for this machine: about five minutes on two cores, once")
    pip_install(["-e", f"{ROOT}[{','.join(wanted)}]"], "installing Nearedge and what it needs")
    STAMP.write_text(json.dumps({"digest": digest(), "extras": wanted}), "utf-8")
    say(f"the environment {VENV} is ready")


def find_python() -> str:
    """Return a Python that is new enough: the one that runs this, else the first on the PATH."""
    if sys.version_info >= OLDEST_PYTHON:
        found: str | None = sys.executable
    else:
        paths = filter(None, map(shutil.which, CANDIDATES))
        found = next((path for path in paths if is_new_enough(path)), None)
    wanted = ".".join(map(str, OLDEST_PYTHON))
    if found is None:
        raise Missing(
            f"Python {wanted} or newer is needed; this is {sys.version.split()[0]}, and none is on the PATH"
        )
    # Debian and Ubuntu ship Python without what makes an environment.
    if not succeeds([found, "-c", "import ensurepip, venv"]):
        raise Missing(f"{found} cannot make environments; on Debian or Ubuntu: apt install python3-venv")
    return found


def is_new_enough(python: str) -> bool:
    return succeeds([python, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"])


def succeeds(command: list[str], text: str = "", seconds: float = PROBE_SECONDS) -> bool:
    """Return whether *command* runs, with *text* as its input, and ends with status 0 in time."""
    try:
        done = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def check_disk(needed_gib: int) -> None:
    temporary = temporary_directory()
    needed = {ROOT: needed_gib}
    if temporary.stat().st_dev != ROOT.stat().st_dev:
        needed[temporary] = min(needed_gib, TEMPORARY_GIB)
    for directory, count in needed.items():
        free = shutil.disk_usage(directory).free
        if free < count * 1024**3:
            raise Missing(
                f"{count} GiB of free disk space are needed in {directory}; there are {gib(free)}"
                + hint(directory)
            )


def temporary_directory() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise Missing(
            "temporary files can be written nowhere; set TMPDIR to a directory that has space"
        ) from error


def hint(directory: Path) -> str:
    return "" if directory == ROOT else "; set TMPDIR to a directory that has more"


def gib(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"


def check_compilers() -> None:
    """Compile and link a small program in C and in C++: a compiler without its headers is no use."""
    programs = (
        (
            "C",
            os.environ.get("CC"),
            ("cc", "gcc", "clang"),
            "c",
            "#include <stdlib.h>\nint main(void){return 0;}",
        ),
        (
            "C++",
            os.environ.get("CXX"),
            ("c++", "g++", "clang++"),
            "c++",
            "#include <vector>\nint main(){return 0;}",
        ),
    )
    for language, chosen, usual, kind, program in programs:
        names = chosen.split()[:1] if chosen else usual
        found = next(filter(None, map(shutil.which, names)), None)
        if found is None:
            raise Missing(
                f"a {language} compiler is needed, for llama.cpp is compiled here; none of "
                f"{', '.join(names)} is on the PATH; on Debian or Ubuntu: apt install build-essential"
            )
        with tempfile.TemporaryDirectory() as scratch:
            if not succeeds([found, "-x", kind, "-", "-o", str(Path(scratch, "program"))], program):
                raise Missing(
                    f"{found} cannot compile a small {language} program; are its headers there? "
                    "On Debian or Ubuntu: apt install build-essential"
                )


def has_llama() -> bool:
    """Return whether the environment holds the llama.cpp that is asked for, so that nothing is compiled."""
    asked = re.search(r"llama-cpp-python==([\w.]+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    pattern = (
        f"lib/python3*/site-packages/llama_cpp_python-{asked.group(1) if asked else '*'}.dist-info/RECORD"
    )
    return any(VENV.glob(pattern))


def works(python: Path) -> bool:
    """Return whether *python* is whole and belongs to our environment: nothing is installed elsewhere."""
    own = f"import os, sys; sys.exit(not os.path.samefile(sys.prefix, {str(VENV)!r}))"
    checks = (["-c", own], ["-m", "pip", "--version"])
    return is_new_enough(str(python)) and all(succeeds([str(python), *check]) for check in checks)


def make_venv(python: str) -> None:
    made = subprocess.run(
        [python, "-m", "venv", "--clear", str(VENV)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if made.returncode != 0:
        raise Missing(f"{python} could not make {VENV}:\n{last_lines(made.stdout)}")


def pip_install(arguments: list[str], what: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--require-virtualenv", "--disable-pip-version-check", "--no-input"]
    status, output = run_showing([*command, "install", "-c", str(ROOT / "constraints.txt"), *arguments], what)
    with LOG.open("a", encoding="utf-8") as log:
        log.write(output)
    if status != 0:
        raise Missing(f"{why(output)}\n{last_lines(output)}\n(all of pip's output is in {LOG})")


def run_showing(command: list[str], what: str) -> tuple[int, str]:
    """Run *command* and show what it is at and for how long; return its status and what it printed."""
    started = shown = time.monotonic()
    live = sys.stderr.isatty()
    output, step = b"", ""
    say(what)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    with process.stdout as pipe:
        try:
            while True:
                ready, _, _ = select.select([pipe], [], [], 1.0)
                data = os.read(pipe.fileno(), 65536) if ready else b""
                if ready and not data:
                    break
                output += data
                step = last_step(output[-4000:].decode(errors="replace")) or step
                now = time.monotonic()
                if now - shown >= (0.2 if live else STATUS_SECONDS):
                    shown = now
                    show(f"  {clock(now - started)}  {step}", live=live)
            status = process.wait()
        finally:
            process.terminate()
            process.wait()
    show(f"  {clock(time.monotonic() - started)}  {'done' if status == 0 else 'failed'}", live=live)
    if live:
        sys.stderr.write("\n")
    return status, output.decode(errors="replace")


def last_step(output: str) -> str:
    steps = re.findall(
        r"^\s*((?:Collecting|Downloading|Building|Installing|Preparing) .*)$", output, re.MULTILINE
    )
    return steps[-1].strip() if steps else ""


def show(line: str, *, live: bool) -> None:
    """Write a status: over the last one on a terminal."""
    if live:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\033[K" + line[:width])
        sys.stderr.flush()
    else:
        say(line)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def why(output: str) -> str:
    """Return what most likely stopped pip."""
    directory = full_directory(output)
    if directory is not None:
        free = shutil.disk_usage(directory).free
        needed = f", {NEEDED_GIB} GiB are needed" if directory == ROOT else ""
        return f"the disk is full: {gib(free)} are free in {directory}{needed}{hint(directory)}"
    if re.search("Failed building (wheel|editable)", output):
        return "a package could not be compiled; is the compiler complete, and is there enough memory?"
    if not index_answers():
        return (
            "the package index does not answer; is there a network? "
            "A proxy or a mirror is set with `pip config` (`pip config list` shows what is set)"
        )
    return "pip could not install what is needed"


def full_directory(output: str) -> Path | None:
    """Return the directory whose disk is full, if one is: where pip names a file, else the emptiest."""
    directories = (ROOT, temporary_directory())
    named = re.search("No space left on device: '([^']+)'", output)
    if named:
        for directory in directories:
            if directory in Path(named.group(1)).parents:
                return directory
    emptiest = min(directories, key=lambda directory: shutil.disk_usage(directory).free)
    full = "No space left on device" in output or shutil.disk_usage(emptiest).free < 64 * 1024**2
    return emptiest if full else None


def index_answers() -> bool:
    probe = [str(PYTHON), "-m", "pip", "index", "versions", "pip", "--retries", "0", "--timeout", "10"]
    return succeeds(probe, seconds=2 * PROBE_SECONDS)


def last_lines(output: str) -> str:
    return "\n".join(f"  | {line}" for line in output.strip().splitlines()[-TOLD_LINES:])


if __name__ == "__main__":
    sys.exit(main())
