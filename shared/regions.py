"""The grid: which regions there are, where each one lies and under which url it answers."""

import re
import reprlib
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.countries import COUNTRY_CODES, SUBDIVISION_CODE
from shared.marked_yaml import MarkedDocument, Problem, Where, parse
from shared.validation import reason

_NAME = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")


class RegionsError(Exception):
    """A regions file cannot be used; the message names file, line and field of everything wrong with it."""


@dataclass(frozen=True, slots=True)
class Region:
    """One regional edge. ``lat`` and ``lon`` are decimal degrees, ``url`` has no ``/v1`` and no slash at
    its end; a region that is not ``discoverable`` serves only clients that pin it.
    """

    id: str
    name: str
    location: str
    country: str
    lat: float
    lon: float
    url: str
    aliases: tuple[str, ...] = ()
    discoverable: bool = True


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of a grid, in the order of their file.

    ``overrides`` are the regions that callers of a country (``CA``) or one of its subdivisions (``CA-ON``)
    are sent to before all others, in this order.
    """

    all: tuple[Region, ...]
    overrides: Mapping[str, tuple[Region, ...]] = field(default_factory=dict)
    _by_name: Mapping[str, Region] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", by_name(self.all))

    def get(self, id_or_alias: str) -> Region | None:
        """Return the region of that id or alias, whatever its case, or None."""
        return self._by_name.get(id_or_alias.lower())

    def __iter__(self) -> Iterator[Region]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


def by_name(regions: Iterable[Region]) -> dict[str, Region]:
    """Return *regions* by their ids and aliases in lower case."""
    return {name.lower(): region for region in regions for name in (region.id, *region.aliases)}


def default_path() -> Path:
    """Return the shipped regions.yaml: the checkout's, else the one that the wheel has installed."""
    checkout = Path(__file__).parent.parent / "regions.yaml"
    if checkout.is_file():
        return checkout
    return Path(sysconfig.get_path("data")) / "share" / "nearedge" / "regions.yaml"


def load(path: Path) -> Regions:
    """Read and check the regions file at *path*.

    Raises:
        RegionsError: the file cannot be read, is not YAML, or has an entry that is not a region.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise RegionsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RegionsError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from None
    document = parse(text)
    if document.problems:
        raise _refusal(path, document.problems)
    try:
        file = _File.model_validate(document.value)
    except ValidationError as error:
        raise _refusal(path, _explain(error, document)) from None
    clashes = list(_clashes(file.regions, document))
    if clashes:
        raise _refusal(path, clashes)
    regions = Regions(tuple(_region(entry) for entry in file.regions))
    mistakes = list(_mistakes(file.overrides, regions, document))
    if mistakes:
        raise _refusal(path, mistakes)
    # Every name is one of a region: there are no mistakes.
    named = {key: tuple(filter(None, map(regions.get, names))) for key, names in file.overrides.items()}
    return Regions(regions.all, named)


def _name(text: str) -> str:
    if len(text) > 63 or _NAME.fullmatch(text) is None:
        raise ValueError("must be at most 63 letters and digits, joined by - . or _")
    return text


def _label(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise ValueError("must be one line of 1 to 100 characters")
    return text


def _country(code: str) -> str:
    if code not in COUNTRY_CODES:
        raise ValueError("is not a country's two capital letters of ISO 3166-1")
    return code


def _country_or_subdivision(code: str) -> str:
    country, dash, subdivision = code.partition("-")
    if country not in COUNTRY_CODES or (dash and SUBDIVISION_CODE.fullmatch(subdivision) is None):
        raise ValueError("is not a country such as CA or a subdivision such as CA-ON, in capitals (ISO 3166)")
    return code


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("http", "https") or not url.isascii() or not url.isprintable():
        raise ValueError("must be an http:// or https:// URL")
    if " " in url or "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError("must hold no space, user, query or fragment")
    if url.endswith("/"):
        raise ValueError("must not end with a slash")
    if parts.path.lower().endswith("/v1"):
        raise ValueError("must not end with /v1, which clients add")
    return url


Name = Annotated[str, AfterValidator(_name)]
Label = Annotated[str, AfterValidator(_label)]
Degrees = Annotated[float, Field(allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    id: Name
    name: Label
    location: Label
    country: Annotated[str, AfterValidator(_country)]
    lat: Annotated[Degrees, Field(ge=-90, le=90)]
    lon: Annotated[Degrees, Field(ge=-180, le=180)]
    url: Annotated[str, AfterValidator(_base_url)]
    aliases: list[Name] = []
    discoverable: bool = True


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    regions: Annotated[list[_Entry], Field(min_length=1)]
    overrides: dict[
        Annotated[str, AfterValidator(_country_or_subdivision)], Annotated[list[Name], Field(min_length=1)]
    ] = {}


_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "too_short": "must hold at least one region",
    "model_type": "must be fields with values",
}


def _explain(error: ValidationError, document: MarkedDocument) -> Iterator[Problem]:
    for item in error.errors():
        # pydantic marks what is wrong with a name, and not with the value behind it.
        where: Where = tuple(step for step in item["loc"] if step != "[key]")
        why = _MESSAGES.get(item["type"]) or reason(item)
        shown = "" if item["type"] in _MESSAGES else f" (got {reprlib.repr(item['input'])})"
        yield Problem(document.line(where), where, why + shown)


def _clashes(entries: Sequence[_Entry], document: MarkedDocument) -> Iterator[Problem]:
    """Yield every id and alias that is taken already; ids come first, so that an alias is at fault."""
    ids: list[tuple[str, Where]] = [(e.id, ("regions", i, "id")) for i, e in enumerate(entries)]
    aliases: list[tuple[str, Where]] = [
        (alias, ("regions", i, "aliases", j))
        for i, e in enumerate(entries)
        for j, alias in enumerate(e.aliases)
    ]
    taken: dict[str, Where] = {}
    for name, where in ids + aliases:
        first = taken.setdefault(name.lower(), where)
        if first is not where:
            why = f"{name!r} is a duplicate of the name on line {document.line(first)}"
            yield Problem(document.line(where), where, why)


def _mistakes(
    overrides: Mapping[str, Sequence[str]], regions: Regions, document: MarkedDocument
) -> Iterator[Problem]:
    """Yield every name of an override that callers cannot be sent to, or not once more."""
    for key, names in overrides.items():
        seen: set[Region] = set()
        for index, name in enumerate(names):
            where: Where = ("overrides", key, index)
            region = regions.get(name)
            if region is None:
                yield Problem(document.line(where), where, f"{name!r} is no region of this file")
            elif not region.discoverable:
                yield Problem(document.line(where), where, f"{name!r} is not discoverable")
            elif region in seen:
                yield Problem(document.line(where), where, f"{name!r} is a duplicate of {region.id}")
            else:
                seen.add(region)


def _region(entry: _Entry) -> Region:
    return Region(**(entry.model_dump() | {"aliases": tuple(entry.aliases)}))


def _refusal(path: Path, problems: Iterator[Problem] | Sequence[Problem]) -> RegionsError:
    return RegionsError("\n".join(f"{path}: {problem}" for problem in problems))
