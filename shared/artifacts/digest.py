"""Reading bytes against a digest, and putting a file in place for good."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from shared.artifacts.errors import DigestMismatch

_BLOCK_BYTES = 1024 * 1024


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, *, sha256: str, size_bytes: int) -> None:
    """Raise DigestMismatch unless the file holds what it should."""
    found = path.stat().st_size
    if found != size_bytes:
        raise DigestMismatch(f"{found} bytes arrived where {size_bytes} were expected")
    digest = sha256_of(path)
    if digest != sha256:
        raise DigestMismatch(f"the SHA-256 of what arrived is {digest}, not {sha256}")


def holds(path: Path, *, sha256: str, size_bytes: int) -> bool:
    """Return whether the file is there and holds what it should."""
    try:
        check(path, sha256=sha256, size_bytes=size_bytes)
    except (DigestMismatch, FileNotFoundError):
        return False
    return True


def copy(streams: Iterable[BinaryIO], to: Path, *, sha256: str, size_bytes: int) -> None:
    """Write *streams* one after the other to a file; at most *size_bytes* are ever written.

    Raises:
        DigestMismatch: there was more or less to read, or other bytes.
    """
    digest = hashlib.sha256()
    left = size_bytes
    with to.open("wb") as file:
        for stream in streams:
            while block := stream.read(min(_BLOCK_BYTES, left + 1)):
                left -= len(block)
                if left < 0:
                    raise DigestMismatch(f"more than the expected {size_bytes} bytes arrived")
                digest.update(block)
                file.write(block)
    if left:
        raise DigestMismatch(f"{size_bytes - left} bytes arrived where {size_bytes} were expected")
    if digest.hexdigest() != sha256:
        raise DigestMismatch(f"the SHA-256 of what arrived is {digest.hexdigest()}, not {sha256}")


def place(staged: Path, target: Path) -> None:
    """Move a complete file into place: readers see the old file or the whole new one, also after a crash."""
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    staged.replace(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
