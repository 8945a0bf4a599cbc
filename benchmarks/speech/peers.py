"""The OpenAI-compatible speech servers beside which Nearedge is measured.

``python -m benchmarks.speech.peers`` makes what is missing: an environment of its own for each, in the cache.
Both run the very model files that the edge runs.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.processes import BenchmarkError, shown
from nearedge.console import load_settings

INSTALL_SECONDS = 1800.0
WHISPER_SERVER = "faster-whisper-server==0.0.3"
KOKORO_SERVER = "fastkokoro[cpu]==0.7.0"


@dataclass(frozen=True, slots=True)
class Peers:
    """Programs of the environments that :func:`make` made."""

    whisper_server: Path
    kokoro_server: Path


def directory(cache: Path) -> Path:
    return cache / "benchmarks" / "speech"


def find(root: Path) -> Peers:
    """Return the peers below *root*.

    Raises:
        BenchmarkError: they are not there.
    """
    if not all(_stamp(root, requirement).exists() for requirement in (WHISPER_SERVER, KOKORO_SERVER)):
        raise BenchmarkError("the peers are not there; `python -m benchmarks.speech.peers` makes them")
    return Peers(
        _home(root, WHISPER_SERVER) / "bin" / "faster-whisper-server",
        _home(root, KOKORO_SERVER) / "bin" / "fastkokoro",
    )


def make(root: Path) -> Peers:
    """Make what is missing below *root*.

    Raises:
        BenchmarkError: a command fails.
    """
    for requirement in (WHISPER_SERVER, KOKORO_SERVER):
        home = _home(root, requirement)
        if _stamp(root, requirement).exists():
            continue
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "install", requirement])
        _stamp(root, requirement).touch()
    return find(root)


def voices_for_kokoro_server(voices: Path, target: Path) -> Path:
    """Write the styles of *voices* to *target* as that server wants them: with an axis more."""
    with np.load(voices, allow_pickle=False) as styles:
        np.savez(target, **{name: styles[name][:, np.newaxis, :] for name in styles.files})
    return target


def _home(root: Path, requirement: str) -> Path:
    return root / requirement.replace("[cpu]", "").replace("==", "-")


def _stamp(root: Path, requirement: str) -> Path:
    return _home(root, requirement) / "complete"


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, stdout=sys.stderr, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"`{shown(command)}` took more than {INSTALL_SECONDS:g} s") from None
    if done.returncode != 0:
        raise BenchmarkError(f"`{shown(command)}` failed with status {done.returncode}")


def main() -> int:
    try:
        peers = make(directory(load_settings().cache))
    except BenchmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"speech to text  {peers.whisper_server}\ntext to speech  {peers.kokoro_server}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
