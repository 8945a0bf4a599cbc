"""A directory that files are fetched into by one process at a time, and where they only appear verified."""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from shared.artifacts import https, hub, pip
from shared.artifacts.archive import Archives
from shared.artifacts.artifact import Artifact, Origin
from shared.artifacts.digest import check, copy, holds, place
from shared.artifacts.errors import (
    ArtifactError,
    DigestMismatch,
    NotEnoughSpace,
    SourceFailed,
    SourcesExhausted,
)
from shared.artifacts.lock import exclusive
from shared.artifacts.progress import Progress
from shared.artifacts.sources import HubFile, LocalFile, Package, PackageMember, Source, Url

WAIT_SECONDS = 3600.0
"""How long one process waits for another that fetches into the same directory."""

MARGIN_BYTES = 64 * 1024 * 1024

MAX_SDIST_BYTES = 2 * 1024**3

SPACE_FACTOR = 3
"""While a file is fetched it may lie on the disk as pip's temporary file, as a package and as itself."""

_INCOMING = ".incoming"
_LOCK = ".lock"


@contextmanager
def workspace(into: Path, progress: Progress, *, wait_seconds: float = WAIT_SECONDS) -> Iterator["Workspace"]:
    """Hold *into* for this process, and clear what was staged once the block ends without an error.

    What is already staged survives an error or a kill, and the next workspace goes on with it.

    Raises:
        StillLocked: another process held the directory for *wait_seconds*.
        ArtifactError: the directory cannot be written, or its disk filled up.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with exclusive(into / _LOCK, progress, wait_seconds=wait_seconds), Archives() as archives:
            incoming = into / _INCOMING
            incoming.mkdir(exist_ok=True)
            for leftover in incoming.glob("pip-*"):
                shutil.rmtree(leftover)
            yield Workspace(into, incoming, archives, progress)
            shutil.rmtree(incoming)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(into, needed_bytes=None, free_bytes=shutil.disk_usage(into).free) from None
        raise ArtifactError(f"{error.filename or into} cannot be used: {error.strerror or error}") from None


class Workspace:
    """Made by :func:`workspace`. ``incoming`` is scratch space on the same file system as the directory."""

    def __init__(self, into: Path, incoming: Path, archives: Archives, progress: Progress) -> None:
        self.into = into
        self.incoming = incoming
        self._archives = archives
        self._progress = progress

    def require_space(self, artifacts: Sequence[Artifact], *, scratch_bytes: int = 0) -> None:
        """Raise NotEnoughSpace unless the disk holds all of *artifacts*, what fetching them takes, and
        *scratch_bytes* more."""
        staged = sum(item.bytes for item in artifacts if self._staged(item).exists())
        fetched = sum(item.bytes for item in artifacts) - staged
        needed = SPACE_FACTOR * fetched + scratch_bytes + MARGIN_BYTES
        free = shutil.disk_usage(self.incoming).free
        if free < needed:
            raise NotEnoughSpace(self.into, needed_bytes=needed, free_bytes=free)

    def stage(self, artifact: Artifact) -> Path:
        """Fetch *artifact* from the first source that gives it; return its verified file, not yet in place.

        Raises:
            SourcesExhausted: no source gives it.
        """
        staged = self._staged(artifact)
        if holds(staged, sha256=artifact.sha256, size_bytes=artifact.bytes):
            return staged
        failures = []
        for origin in artifact.origins:
            try:
                self._obtain(artifact, origin, staged)
            except (SourceFailed, DigestMismatch) as error:
                failures.append((" + ".join(map(str, origin)), str(error)))
            else:
                return staged
        raise SourcesExhausted(artifact.name, failures)

    def place(self, staged: Path, name: str) -> None:
        """Move a complete file to its name in the directory."""
        place(staged, self.into / name)

    def _staged(self, artifact: Artifact) -> Path:
        return self.incoming / artifact.sha256

    def _obtain(self, artifact: Artifact, origin: Origin, staged: Path) -> None:
        match origin:
            case (Url(url),):
                part = self.incoming / f"{artifact.sha256}.part"
                https.download(url, part, self._progress, max_bytes=artifact.bytes, resume=True)
                self._accept(part, artifact, staged)
            case (HubFile() as source,):
                self._accept(self._hub_file(source, artifact.bytes), artifact, staged)
            case _:
                copied = self.incoming / f"{artifact.sha256}.copy"
                with ExitStack() as stack:
                    streams = (stack.enter_context(self._opened(source, artifact.bytes)) for source in origin)
                    copy(streams, copied, sha256=artifact.sha256, size_bytes=artifact.bytes)
                copied.replace(staged)

    def _accept(self, fetched: Path, artifact: Artifact, staged: Path) -> None:
        try:
            check(fetched, sha256=artifact.sha256, size_bytes=artifact.bytes)
        except DigestMismatch:
            fetched.unlink()
            raise
        fetched.replace(staged)

    @contextmanager
    def _opened(self, source: Source, max_bytes: int) -> Iterator[BinaryIO]:
        match source:
            case PackageMember(package, member):
                path = self._package(package)
                try:
                    with self._archives.member(path, member) as stream:
                        yield stream
                except DigestMismatch:
                    self._archives.forget(path)
                    path.unlink()
                    raise
            case HubFile():
                with self._hub_file(source, max_bytes).open("rb") as stream:
                    yield stream
            case Url(url):
                part = self.incoming / f"{sha256(url.encode()).hexdigest()}.url"
                https.download(url, part, self._progress, max_bytes=max_bytes)
                with part.open("rb") as stream:
                    yield stream
            case LocalFile(path):
                with _open_local(path) as stream:
                    yield stream

    def _hub_file(self, source: HubFile, size_bytes: int) -> Path:
        return hub.download(source, self.incoming / "hub", self._progress, size_bytes=size_bytes)

    def _package(self, package: Package) -> Path:
        """Return the archive of *package*, fetched unless an earlier file of this directory came from it."""
        path = self.incoming / f"{package.name}-{package.version}{'.whl' if package.wheel else '.tar.gz'}"
        if path.exists():
            return path
        if package.wheel:
            pip.download_wheel(package, path, self._progress)
            return path
        part = path.with_name(f"{path.name}.part")
        url = pip.locate_sdist(package, self.incoming)
        if url.startswith("file:"):
            with _open_local(Path(unquote(urlsplit(url).path))) as found, part.open("wb") as copied:
                shutil.copyfileobj(found, copied)
        else:
            https.download(url, part, self._progress, max_bytes=MAX_SDIST_BYTES, resume=True)
        return part.replace(path)


def _open_local(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceFailed(f"it cannot be read: {error.strerror}") from None
