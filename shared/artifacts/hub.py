"""Fetching files of Hugging Face repositories, with the hub library's own endpoint, token and cache rules."""

import importlib
from pathlib import Path
from typing import Any

from shared.artifacts.errors import SourceFailed
from shared.artifacts.progress import Meter, Progress
from shared.artifacts.sources import HubFile

_ETAG_SECONDS = 10.0


def download(source: HubFile, into: Path, progress: Progress, *, size_bytes: int) -> Path:
    """Fetch *source* into a directory and return its path there. An interrupted download is gone on with.

    Raises:
        SourceFailed: the library is not installed, or the hub cannot be reached or has no such file.
    """
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        raise SourceFailed(
            "huggingface_hub is not installed; `pip install nearedge[edge]` brings it"
        ) from None
    with progress.meter(Path(source.file).name, size_bytes) as meter:
        try:
            path = hub.hf_hub_download(
                source.repo,
                source.file,
                revision=source.revision,
                local_dir=into,
                etag_timeout=_ETAG_SECONDS,
                tqdm_class=_tqdm_showing(meter),
            )
        # The library lets its HTTP client's, its own and the system's errors through alike.
        except Exception as error:  # noqa: BLE001 - the hub's client raises what it likes
            raise SourceFailed(_first_line(error)) from None
    return Path(path)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _tqdm_showing(meter: Meter) -> type[Any]:
    """Make the progress-bar class that the hub library wants, which draws nothing and feeds *meter*."""
    tqdm: type[Any] = importlib.import_module("tqdm").tqdm

    class Feed(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, **options: Any) -> None:
            self._done = int(options.get("initial") or 0)
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self._done += int(n or 0)
            meter.show(self._done, None)

    return Feed
