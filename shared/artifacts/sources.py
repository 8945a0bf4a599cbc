"""Where the bytes of a file may come from, and how that is written.

``pypi:NAME==VERSION#member``        a member of a wheel
``pypi-sdist:NAME==VERSION#member``  a member of a source distribution
``hf:OWNER/REPO@REVISION#file``      a file of a Hugging Face repository
``https://…``                        a URL; plain http only to this machine itself
``file:/path``                       a file that is already here
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from shared.artifacts.errors import SourceError

_PACKAGE = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[A-Za-z0-9][\w.!+-]*)#(?P<member>.+)", re.ASCII
)
_HUB = re.compile(r"(?P<repo>[\w][\w.-]*/[\w][\w.-]*)@(?P<revision>\w[\w.-]*)#(?P<file>.+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Package:
    """A release on the package index; ``wheel`` is False for its source distribution."""

    name: str
    version: str
    wheel: bool

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class PackageMember:
    package: Package
    member: str

    def __str__(self) -> str:
        scheme = "pypi" if self.package.wheel else "pypi-sdist"
        return f"{scheme}:{self.package.name}=={self.package.version}#{self.member}"


@dataclass(frozen=True, slots=True)
class HubFile:
    repo: str
    revision: str
    file: str

    def __str__(self) -> str:
        return f"hf:{self.repo}@{self.revision}#{self.file}"


@dataclass(frozen=True, slots=True)
class Url:
    url: str

    def __str__(self) -> str:
        """Leave out user, password and query: they may be secrets."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


@dataclass(frozen=True, slots=True)
class LocalFile:
    path: Path

    def __str__(self) -> str:
        return f"file:{self.path}"


Source = PackageMember | HubFile | Url | LocalFile


def parse_source(text: str) -> Source:
    """Read *text*, written as the head of this module shows.

    Raises:
        SourceError: it is none of those forms, or a member's name leads out of its archive.
    """
    scheme, colon, rest = text.partition(":")
    if not colon:
        raise SourceError(f"{text!r} is not a source: it has no scheme such as pypi: or https:")
    if scheme in ("pypi", "pypi-sdist"):
        found = _matched(_PACKAGE, rest, text, f"{scheme}:NAME==VERSION#member")
        package = Package(found["name"], found["version"], wheel=scheme == "pypi")
        return PackageMember(package, _relative(found["member"], text))
    if scheme == "hf":
        found = _matched(_HUB, rest, text, "hf:OWNER/REPO@REVISION#file")
        return HubFile(found["repo"], found["revision"], _relative(found["file"], text))
    if scheme in ("https", "http"):
        if not may_fetch(text):
            raise SourceError(f"{Url(text)} is not a source: only https, or http to this machine, is fetched")
        return Url(text)
    if scheme == "file":
        path = Path(unquote(urlsplit(text).path))
        if not path.is_absolute():
            raise SourceError(f"{text!r} is not a source: a file: path must be absolute")
        return LocalFile(path)
    raise SourceError(f"{text!r} is not a source: {scheme}: is unknown")


def may_fetch(url: str) -> bool:
    """Return whether *url* is https, or http to the loopback interface."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return bool(host)
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _matched(pattern: re.Pattern[str], rest: str, text: str, form: str) -> re.Match[str]:
    found = pattern.fullmatch(rest)
    if found is None:
        raise SourceError(f"{text!r} is not a source: it must read {form}")
    return found


def _relative(member: str, text: str) -> str:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member or "\0" in member or str(path) != member:
        raise SourceError(f"{text!r} is not a source: {member!r} leads out of its archive")
    return member
