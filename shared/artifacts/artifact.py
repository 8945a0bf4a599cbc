"""A file that must be there, known by its digest."""

from dataclasses import dataclass

from shared.artifacts.sources import Source

Origin = tuple[Source, ...]
"""Sources that make the whole file, one after the other; mostly there is one."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file: its name, what it must contain, and where it may come from, best first."""

    name: str
    sha256: str
    bytes: int
    origins: tuple[Origin, ...]
