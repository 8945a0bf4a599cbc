"""The recordings of jobs that have not ended, on disk."""

import os
from pathlib import Path

_UNFINISHED = ".part"


class AudioFiles:
    """One file a job, in a directory of their own that nobody else may read. Every call blocks.

    Raises:
        OSError: the disk failed or is full.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each recording by its job, and remove those that were never finished."""
        found = {}
        for file in self._directory.iterdir() if self._directory.is_dir() else ():
            if file.suffix == _UNFINISHED:
                file.unlink(missing_ok=True)
            else:
                found[file.name] = file.stat().st_size
        return found

    def save(self, job_id: str, data: bytes) -> None:
        """Write a recording so that it is either there as a whole, even after a power cut, or not at all."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._directory / f"{job_id}{_UNFINISHED}"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._directory / job_id)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def read(self, job_id: str) -> bytes:
        return (self._directory / job_id).read_bytes()

    def remove(self, job_id: str) -> None:
        """Remove a recording, if it is there."""
        (self._directory / job_id).unlink(missing_ok=True)
