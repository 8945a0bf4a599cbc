"""Opening a GeoIP file, and finding out that it is whole."""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Self

import maxminddb

from autorouter.geoip_record import read_place
from autorouter.networks import Address

UPDATE_HINT = "run `nearedge geoip update`"

KINDS = ("City", "Country", "Enterprise")
"""What a file's type has in its name if its records are of a layout that is read here: GeoLite2-City,
GeoIP2-Country, GeoIP2-Enterprise, DBIP-City-Lite, DBIP-Location (compat=City)…"""

PROBES = 256
"""How many addresses of each kind are looked up in a file before it is believed."""

Stamp = tuple[int, int, int]
"""What tells one file at a path from the next: inode, time of change in nanoseconds, bytes."""


class GeoIPError(Exception):
    """The GeoIP file cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class GeoIPInfo:
    """What the file says about itself: ``build_epoch`` in seconds since 1970, ``ip_version`` 6 if it holds
    both kinds of address.
    """

    file: str
    database_type: str
    build_epoch: int
    ip_version: int

    def age_seconds(self, now: float) -> float:
        """Return how old the data is at *now*, in seconds since 1970; never below 0."""
        return max(0.0, now - self.build_epoch)


@dataclass(frozen=True, slots=True)
class GeoIPFile:
    """An open file. What is let go of without being closed is closed by that."""

    reader: maxminddb.Reader
    info: GeoIPInfo
    stamp: Stamp

    @classmethod
    def open(cls, path: Path, *, copy: bool = False) -> Self:
        """Open the file at *path* and look a sample of addresses up.

        The file is mapped into memory: cut short or written over, it ends this process or makes nonsense of
        its answers. With *copy* it is a copy in memory that is mapped, which nobody else can touch and which
        takes the file's size.

        Raises:
            GeoIPError: it is missing, unreadable, broken, or neither a City nor a Country file.
        """
        try:
            stamp = stamp_of(path)
            reader = _open_copy(path) if copy else maxminddb.open_database(path)
            metadata = reader.metadata()
            info = GeoIPInfo(path.name, metadata.database_type, metadata.build_epoch, metadata.ip_version)
            if any(kind in info.database_type for kind in KINDS):
                _probe(reader, info)
        except FileNotFoundError:
            raise GeoIPError(f"there is no GeoIP file at {path}; {UPDATE_HINT}") from None
        except OSError as error:
            raise GeoIPError(
                f"the GeoIP file {path} cannot be read: {error.strerror}; {UPDATE_HINT}"
            ) from None
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            raise GeoIPError(f"the GeoIP file {path} is broken ({error}); {UPDATE_HINT}") from None
        if not any(kind in info.database_type for kind in KINDS):
            reader.close()
            raise GeoIPError(
                f"the GeoIP file {path} is a {info.database_type}, not a City or Country file; {UPDATE_HINT}"
            )
        return cls(reader, info, stamp)


def stamp_of(path: Path) -> Stamp:
    """Return what tells the file that is at *path* now from others.

    Raises:
        OSError: there is none, or it cannot be looked at.
    """
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _open_copy(path: Path) -> maxminddb.Reader:
    with ExitStack() as stack:
        source = stack.enter_context(path.open("rb"))
        copy = stack.enter_context(os.fdopen(os.memfd_create("nearedge-geoip"), "wb"))
        shutil.copyfileobj(source, copy, 1024 * 1024)
        copy.flush()
        at = f"/proc/self/fd/{copy.fileno()}"
        try:
            # The mapping outlives the descriptor.
            return maxminddb.open_database(at)
        except maxminddb.InvalidDatabaseError as error:
            raise maxminddb.InvalidDatabaseError(str(error).replace(at, str(path))) from None


def _probe(reader: maxminddb.Reader, info: GeoIPInfo) -> None:
    """Read records here and there in the file.

    Raises:
        InvalidDatabaseError, ValueError: what lies there is no record.
    """
    for address in _sample(info.ip_version):
        record = reader.get(address)
        if record is not None:
            read_place(record)


def _sample(ip_version: int) -> Iterator[Address]:
    chance = random.Random(0)
    for _ in range(PROBES):
        yield IPv4Address(chance.getrandbits(32))
    if ip_version == 6:
        for _ in range(PROBES):
            block = chance.choice((0x2001, 0x2400, 0x2600, 0x2800, 0x2A00, 0x2C00))
            yield IPv6Address((block + chance.getrandbits(4)) << 112 | chance.getrandbits(112))
