"""Fetching releases from the package index through pip, with whatever index, proxy and keys it is set to.

Nothing that is fetched is installed, imported or built. A wheel comes by ``pip download``. For a source
distribution that command runs its build backend to learn its metadata, so pip is only asked where the
file lies (``pip index versions -vv`` names every link that it finds) and it is fetched from there.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from shared.artifacts.errors import SourceFailed
from shared.artifacts.process import run_lines
from shared.artifacts.progress import Progress
from shared.artifacts.sources import Package
from shared.settings import environment_for

SECONDS = 3600.0
"""What one release may take in all."""

SILENT_SECONDS = 600.0
"""What pip may stay silent. A pip too old to report progress says nothing while it downloads."""

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_LINK = re.compile(r"Found link (\S+?),?\s")
_RAW_PROGRESS_SINCE = (24, 1)
_RESUME_SINCE = (25, 1)
_TOLD_LINES = 5


def download_wheel(package: Package, to: Path, progress: Progress) -> None:
    """Fetch the wheel of *package* as the file *to*, which is either complete or absent.

    Raises:
        SourceFailed: pip is missing, has no such wheel, or cannot reach its index.
    """
    pip = _pip_version()
    options = ["--progress-bar", "raw"] if pip >= _RAW_PROGRESS_SINCE else ["--progress-bar", "off"]
    if pip >= _RESUME_SINCE:
        options += ["--resume-retries", "5"]
    with (
        tempfile.TemporaryDirectory(dir=to.parent, prefix="pip-") as scratch,
        progress.meter(str(package)) as meter,
    ):
        lines: list[str] = []

        def on_line(line: str) -> None:
            if found := _PROGRESS.fullmatch(line):
                meter.show(int(found[1]), int(found[2]) or None)
            else:
                lines.append(line)

        arguments = [
            *("download", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--no-input"),
            *("--no-color", "--disable-pip-version-check", "--retries", "3", "--dest", scratch),
            *options,
            f"{package.name}=={package.version}",
        ]
        status = _run(arguments, on_line, scratch)
        wheels = sorted(Path(scratch).glob("*.whl"))
        if status != 0 or len(wheels) != 1:
            raise SourceFailed(_why(lines))
        wheels[0].replace(to)


def locate_sdist(package: Package, scratch: Path) -> str:
    """Return the URL (https: or file:) of the source distribution of *package*.

    Raises:
        SourceFailed: pip is missing, has no such file, or cannot reach its index.
    """
    _pip_version()
    lines: list[str] = []
    arguments = [
        *("index", "versions", "-vv", "--ignore-requires-python", "--no-input", "--no-color"),
        *("--disable-pip-version-check", "--retries", "3", package.name),
    ]
    status = _run(arguments, lines.append, str(scratch))
    links = (urldefrag(found[1]).url for line in lines if (found := _LINK.search(line)))
    for link in links:
        if _is_sdist_of(package, unquote(urlsplit(link).path).rpartition("/")[2]):
            return link
    if status != 0:
        raise SourceFailed(_why(lines))
    raise SourceFailed(f"the package index has no source distribution of {package}")


def _is_sdist_of(package: Package, filename: str) -> bool:
    """Compare names as PEP 503 does: case and runs of ``-_.`` do not matter."""

    def canonical(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    stem, suffix, rest = filename.rpartition(".tar.gz")
    return bool(suffix) and not rest and canonical(stem) == canonical(f"{package.name}-{package.version}")


def _pip_version() -> tuple[int, ...]:
    try:
        parts = version("pip").split(".")
    except PackageNotFoundError:
        raise SourceFailed("pip is not in this environment; `python -m ensurepip` adds it") from None
    return tuple(int(part) for part in parts[:2] if part.isdigit())


def _run(arguments: Sequence[str], on_line: Callable[[str], None], scratch: str) -> int:
    return run_lines(
        [sys.executable, "-P", "-m", "pip", *arguments],
        on_line,
        environ={**environment_for({}), "TMPDIR": scratch, "PYTHONUNBUFFERED": "1"},
        seconds=SECONDS,
        silent_seconds=SILENT_SECONDS,
    )


def _why(lines: Sequence[str]) -> str:
    """Pick what a person needs out of pip's output."""
    unreachable = any(line.startswith("WARNING: Retrying") for line in lines)
    told = [line for line in lines if line.startswith("ERROR:")] or [line for line in lines if line.strip()]
    reason = "; ".join(line.removeprefix("ERROR: ") for line in told[-_TOLD_LINES:])
    if unreachable:
        return f"the package index cannot be reached (is there a network? see `pip config list`): {reason}"
    return f"pip: {reason}" if reason else "pip failed and said nothing"
