"""Makes the two servers that Nearedge is measured against, of the llama.cpp that it runs itself.

``python -m benchmarks.llm.peers`` makes what is missing and prints where both are: ``llama-server``,
compiled from the source distribution of the installed bindings with the flags of their wheel, and an
environment for ``python -m llama_cpp.server`` that shares the installed bindings.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.processes import BenchmarkError, shown
from nearedge.console import load_settings
from shared.artifacts.lock import exclusive
from shared.artifacts.progress import Silent
from shared.cpus import available_cpus

BINDINGS = "llama-cpp-python"
BUILD_SECONDS = 3600.0
INSTALL_SECONDS = 1800.0

BUILD_OPTIONS = (
    *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON"),
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF"),
    *("-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_OPENSSL=OFF"),
)
"""Those of the bindings' wheel (-O3, -march=native, OpenMP are the defaults), less what a server on the
loopback does not need: TLS and a page that would have to be downloaded."""


@dataclass(frozen=True, slots=True)
class Peers:
    """``llama_server`` is a program; ``bundled_python`` runs ``-m llama_cpp.server``."""

    llama_server: Path
    bundled_python: Path


def directory() -> Path:
    """Return where the peers live: in the cache, so that they may be deleted at any time."""
    return load_settings().cache / "benchmarks"


def find() -> Peers:
    """Return the peers that :func:`make` made.

    Raises:
        BenchmarkError: they are not there.
    """
    peers = _places(directory())
    if not (peers.llama_server.exists() and _stamp(peers.bundled_python).exists()):
        raise BenchmarkError("the peers are not there; `python -m benchmarks.llm.peers` makes them")
    return peers


def make(*, jobs: int) -> Peers:
    """Make what is missing, with *jobs* compilers at once, and return both.

    Raises:
        BenchmarkError: a command fails or a tool is missing; the message says which.
    """
    root = directory()
    root.mkdir(parents=True, exist_ok=True)
    peers = _places(root)
    with exclusive(root / ".lock", Silent(), wait_seconds=BUILD_SECONDS):
        if not peers.llama_server.exists():
            _build_llama_server(root, jobs)
        if not _stamp(peers.bundled_python).exists():
            _make_environment(peers.bundled_python)
    return peers


def _places(root: Path) -> Peers:
    return Peers(
        llama_server=_source(root) / "build" / "bin" / "llama-server",
        bundled_python=root / f"bundled-{version(BINDINGS)}" / "bin" / "python",
    )


def _source(root: Path) -> Path:
    return root / f"{BINDINGS.replace('-', '_')}-{version(BINDINGS)}"


def _stamp(python: Path) -> Path:
    return python.parents[1] / "complete"


def _build_llama_server(root: Path, jobs: int) -> None:
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            raise BenchmarkError(f"{tool} is not on the PATH; llama-server is compiled with it")
    source = _source(root)
    if not (source / "vendor").is_dir():
        _fetch_source(root)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    build = source / "build"
    configure = ["cmake", "-S", source / "vendor" / "llama.cpp", "-B", build, *generator, *BUILD_OPTIONS]
    _run(configure, seconds=BUILD_SECONDS)
    _run(["cmake", "--build", build, "--target", "llama-server", "-j", jobs], seconds=BUILD_SECONDS)


def _fetch_source(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        options = ["--no-deps", "--no-binary", BINDINGS, "--disable-pip-version-check", "--dest", scratch]
        _run(
            [sys.executable, "-m", "pip", "download", *options, f"{BINDINGS}=={version(BINDINGS)}"],
            seconds=INSTALL_SECONDS,
        )
        (found,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(found) as archive:
            archive.extractall(scratch, filter="data")
        shutil.rmtree(_source(root), ignore_errors=True)
        (Path(scratch) / _source(root).name).replace(_source(root))


def _make_environment(python: Path) -> None:
    """The bindings themselves are linked, not installed: the same build, and nothing compiled again."""
    home = python.parents[1]
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", home], seconds=INSTALL_SECONDS)
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install"]
    _run([*pip, *server_requirements(requires(BINDINGS) or ())], seconds=INSTALL_SECONDS)
    spec = find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    (packages,) = (home / "lib").glob("python3*/site-packages")
    (packages / "llama_cpp").symlink_to(Path(spec.origin).parent)
    _run([python, "-c", "import llama_cpp.server.app"], seconds=INSTALL_SECONDS)
    _stamp(python).touch()


def server_requirements(declared: Sequence[str]) -> list[str]:
    """Return those of the *declared* requirements that hold with the extra ``server``, without markers."""
    wanted = []
    for text in declared:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": "server"}):
            requirement.marker = None
            wanted.append(str(requirement))
    return wanted


def _run(command: Sequence[object], *, seconds: float) -> None:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, stdout=sys.stderr, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"`{shown(words)}` took more than {seconds:g} s") from None
    if done.returncode != 0:
        raise BenchmarkError(f"`{shown(words)}` failed with status {done.returncode}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llm.peers", description=__doc__)
    parser.add_argument("--jobs", type=int, default=available_cpus(), help="compilers at once")
    try:
        peers = make(jobs=parser.parse_args().jobs)
    except BenchmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where this one stopped\n")
        return 130
    sys.stdout.write(f"llama-server    {peers.llama_server}{os.linesep}")
    sys.stdout.write(f"bundled server  {peers.bundled_python} -m llama_cpp.server{os.linesep}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
