"""Files that must be there and may come from several places: fetched, verified, then put in place.

with workspace(directory, progress) as work:
    work.require_space([artifact])
    work.place(work.stage(artifact), artifact.name)
"""

from shared.artifacts import https
from shared.artifacts.artifact import Artifact, Origin
from shared.artifacts.digest import holds, sha256_of
from shared.artifacts.errors import (
    ArtifactError,
    NotEnoughSpace,
    SourceError,
    SourceFailed,
    SourcesExhausted,
    StillLocked,
    megabytes,
)
from shared.artifacts.progress import Meter, Progress, Silent
from shared.artifacts.sources import Source, parse_source
from shared.artifacts.workspace import Workspace, workspace

__all__ = [
    "Artifact",
    "ArtifactError",
    "Meter",
    "NotEnoughSpace",
    "Origin",
    "Progress",
    "Silent",
    "Source",
    "SourceError",
    "SourceFailed",
    "SourcesExhausted",
    "StillLocked",
    "Workspace",
    "holds",
    "https",
    "megabytes",
    "parse_source",
    "sha256_of",
    "workspace",
]
