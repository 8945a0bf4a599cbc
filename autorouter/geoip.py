"""Where an address is, from a GeoIP file that may be replaced at any time."""

from pathlib import Path
from typing import Self

import maxminddb
import structlog

from autorouter.geoip_file import UPDATE_HINT, GeoIPError, GeoIPFile, GeoIPInfo, stamp_of
from autorouter.geoip_record import read_place
from autorouter.networks import Address
from autorouter.place import Place
from autorouter.public_address import public_address
from autorouter.settings import AutorouterSettings

__all__ = ["FILE_NAME", "GeoIP", "GeoIPError", "GeoIPInfo", "default_file", "default_path"]

log = structlog.get_logger(__name__)

FILE_NAME = "GeoLite2-City.mmdb"


def default_path(settings: AutorouterSettings) -> Path:
    """Return the GeoIP file to read: the setting, else the one that ``nearedge geoip update`` fetches."""
    return settings.geoip_file or default_file(settings.cache)


def default_file(cache: Path) -> Path:
    """Return where ``nearedge geoip update`` puts what it fetches."""
    return cache / "geoip" / FILE_NAME


class GeoIP:
    """The City or Country file at a path. ``replaced`` and ``refused`` count the files that came after the
    first.
    """

    def __init__(self, path: Path, file: GeoIPFile, *, copy: bool) -> None:
        self._path = path
        self._copy = copy
        self._file = file
        self._seen = file.stamp
        self._found_broken = False
        self.replaced = 0
        self.refused = 0

    @classmethod
    def open(cls, path: Path, *, copy: bool = False) -> Self:
        """Open the file at *path*; a service that must outlive whatever happens to the file wants a *copy*
        of it in memory.

        Raises:
            GeoIPError: it is missing, unreadable, broken, or neither a City nor a Country file.
        """
        return cls(path, GeoIPFile.open(path, copy=copy), copy=copy)

    @property
    def info(self) -> GeoIPInfo:
        return self._file.info

    def refresh(self) -> bool:
        """Go on with the file that has taken this one's place, and say whether there was one.

        A file that cannot be used is logged once and the present one kept. It takes as long as the disk
        does; another thread may look addresses up meanwhile.
        """
        try:
            stamp = stamp_of(self._path)
        except OSError:
            return False
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            file = GeoIPFile.open(self._path, copy=self._copy)
        except GeoIPError as error:
            log.warning("geoip_file_refused", reason=str(error))
            self.refused += 1
            return False
        # The old one is not closed: a look-up that runs just now still reads it, and is the last to hold it.
        self._file = file
        self._seen = file.stamp
        self._found_broken = False
        self.replaced += 1
        log.info("geoip_file_replaced", database_type=file.info.database_type, built=file.info.build_epoch)
        return True

    def close(self) -> None:
        self._file.reader.close()

    def place(self, address: Address) -> Place | None:
        """Return where *address* is, or None if the file does not know or it is not a public address.

        An IPv6 address that holds an IPv4 address is where that one is, see ``public_address``.
        """
        file = self._file
        public = public_address(address)
        if public is None or (public.version == 6 and file.info.ip_version == 4):
            return None
        try:
            record = file.reader.get(public)
            return read_place(record) if record is not None else None
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            if not self._found_broken:
                self._found_broken = True
                log.warning("geoip_file_is_broken", file=file.info.file, reason=str(error), hint=UPDATE_HINT)
            return None
