"""Where an address is, from a file in MaxMind's City layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import geoip2.database
import maxminddb
import structlog
from geoip2.errors import AddressNotFoundError

from autorouter.client_address import Address
from autorouter.place import Place
from autorouter.settings import AutorouterSettings

log = structlog.get_logger(__name__)

FILE_NAME = "GeoLite2-City.mmdb"
UPDATE_HINT = "run `nearedge geoip update`"

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


def default_path(settings: AutorouterSettings) -> Path:
    """Return the GeoIP file to read: the setting, else the one that ``nearedge geoip update`` fetches."""
    return settings.geoip_file or default_file(settings.cache)


def default_file(cache: Path) -> Path:
    """Return where ``nearedge geoip update`` puts what it fetches."""
    return cache / "geoip" / FILE_NAME


class GeoIP:
    """An open City file. It is mapped into memory, so replace it by renaming, never in place.

    ``replaced`` and ``refused`` count the files that were taken up after this one, and those that were not.
    """

    def __init__(self, path: Path, reader: geoip2.database.Reader, stamp: Stamp) -> None:
        self._path = path
        self._reader = reader
        self._stamp = stamp
        self.info = _info(path, reader)
        self.replaced = 0
        self.refused = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file at *path*.

        Raises:
            GeoIPError: it is missing, unreadable, broken, or not a City file.
        """
        return cls(path, *_open(path))

    def refresh(self) -> bool:
        """Go on with the file that has taken this one's place, and say whether there was one.

        A file that cannot be used is logged once and the present one kept.
        """
        try:
            stamp = _stamp(self._path)
        except OSError:
            return False
        if stamp == self._stamp:
            return False
        try:
            reader, stamp = _open(self._path)
        except GeoIPError as error:
            log.warning("geoip_file_refused", reason=str(error))
            self._stamp = stamp
            self.refused += 1
            return False
        self._reader.close()
        self._reader, self._stamp, self.info = reader, stamp, _info(self._path, reader)
        self.replaced += 1
        log.info("geoip_file_replaced", database_type=self.info.database_type, built=self.info.build_epoch)
        return True

    def close(self) -> None:
        self._reader.close()

    def place(self, address: Address) -> Place | None:
        """Return where *address* is, or None if the file does not know or it is not a public address."""
        if not address.is_global or (address.version == 6 and self.info.ip_version == 4):
            return None
        try:
            record = self._reader.city(str(address))
        except AddressNotFoundError:
            return None
        except maxminddb.InvalidDatabaseError:
            log.warning("geoip_file_is_broken", file=self.info.file, hint=UPDATE_HINT)
            return None
        country = record.country.iso_code
        lat, lon = record.location.latitude, record.location.longitude
        located = lat is not None and lon is not None
        if country is None and not located:
            return None
        return Place(
            country=country,
            subdivision=record.subdivisions[0].iso_code if record.subdivisions else None,
            lat=lat if located else None,
            lon=lon if located else None,
        )


def _info(path: Path, reader: geoip2.database.Reader) -> GeoIPInfo:
    metadata = reader.metadata()
    return GeoIPInfo(path.name, metadata.database_type, metadata.build_epoch, metadata.ip_version)


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _open(path: Path) -> tuple[geoip2.database.Reader, Stamp]:
    try:
        stamp = _stamp(path)
        reader = geoip2.database.Reader(path)
    except FileNotFoundError:
        raise GeoIPError(f"there is no GeoIP file at {path}; {UPDATE_HINT}") from None
    except OSError as error:
        raise GeoIPError(f"the GeoIP file {path} cannot be read: {error.strerror}") from None
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise GeoIPError(f"the GeoIP file {path} is broken ({error}); {UPDATE_HINT}") from None
    found = reader.metadata().database_type
    if "City" not in found:
        reader.close()
        raise GeoIPError(f"the GeoIP file {path} is a {found}, not a City file; {UPDATE_HINT}")
    return reader, stamp
