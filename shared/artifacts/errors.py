"""What can go wrong while a file is fetched.

ArtifactError          the message tells a person what to do
├── SourceError        a source is written wrongly
├── SourceFailed       one source did not give its bytes
├── DigestMismatch     what arrived is not what was asked for
├── SourcesExhausted   no source gave the file; names each one and why
├── NotEnoughSpace     the disk is too small
└── StillLocked        another process has been fetching the same file for too long
"""

from collections.abc import Sequence
from pathlib import Path


class ArtifactError(Exception):
    pass


class SourceError(ArtifactError):
    pass


class SourceFailed(ArtifactError):
    pass


class DigestMismatch(ArtifactError):
    pass


class SourcesExhausted(ArtifactError):
    def __init__(self, name: str, failures: Sequence[tuple[str, str]]) -> None:
        reasons = "".join(f"\n  - {source}: {reason}" for source, reason in failures)
        super().__init__(f"{name} could not be fetched from any of its sources:{reasons}")
        self.failures = tuple(failures)


class NotEnoughSpace(ArtifactError):
    """``needed_bytes`` is None when the disk filled up on the way."""

    def __init__(self, where: Path, *, needed_bytes: int | None, free_bytes: int) -> None:
        need = "the disk is full" if needed_bytes is None else f"{megabytes(needed_bytes)} are needed"
        super().__init__(
            f"not enough disk space in {where}: {need}, {megabytes(free_bytes)} are free; "
            "free some, or set another directory with NEAREDGE_CACHE"
        )


class StillLocked(ArtifactError):
    pass


def megabytes(count: int) -> str:
    """Write *count* bytes for a person, in decimal megabytes."""
    return f"{count / 1e6:,.1f} MB" if count < 10_000_000 else f"{count / 1e6:,.0f} MB"
