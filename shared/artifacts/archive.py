"""Reading single members out of wheels and source distributions. Nothing is ever unpacked."""

import contextlib
import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Self, cast

from shared.artifacts.errors import DigestMismatch

_BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


class Archives:
    """Keeps archives open, so that many members of a tar file cost one pass over it."""

    def __init__(self) -> None:
        self._open: dict[Path, zipfile.ZipFile | tarfile.TarFile] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.clear()
        self._stack.close()

    def forget(self, path: Path) -> None:
        """Close an archive that is about to be deleted."""
        with contextlib.suppress(KeyError):
            self._open.pop(path).close()

    @contextmanager
    def member(self, path: Path, name: str) -> Iterator[BinaryIO]:
        """Open the regular file *name* of the archive at *path*.

        Raises:
            DigestMismatch: there is no such file in it, or the archive is broken.
        """
        try:
            with self._open_member(path, name) as stream:
                yield stream
        except _BROKEN as error:
            raise DigestMismatch(f"{path.name} cannot be read: {error}") from None

    def _open_member(self, path: Path, name: str) -> BinaryIO:
        try:
            archive = self._archive(path)
            return (
                _open_zip(archive, name) if isinstance(archive, zipfile.ZipFile) else _open_tar(archive, name)
            )
        except KeyError:
            raise DigestMismatch(f"there is no {name} in {path.name}") from None
        except (OSError, NotImplementedError, RuntimeError) as error:
            raise DigestMismatch(f"{path.name} cannot be read: {error}") from None

    def _archive(self, path: Path) -> zipfile.ZipFile | tarfile.TarFile:
        archive = self._open.get(path)
        if archive is None:
            archive = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else tarfile.open(path)  # noqa: SIM115
            self._stack.callback(archive.close)
            self._open[path] = archive
        return archive


def _open_zip(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    return cast("BinaryIO", archive.open(name))


def _open_tar(archive: tarfile.TarFile, name: str) -> BinaryIO:
    member = archive.getmember(name)
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:
        raise KeyError(name)
    return cast("BinaryIO", stream)
