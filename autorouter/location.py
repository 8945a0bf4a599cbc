"""Where a request comes from, and what that knowledge depends on."""

from dataclasses import dataclass
from enum import StrEnum

from autorouter.place import Place


class Source(StrEnum):
    """Who said where the caller is: a trusted CDN's headers, the GeoIP file, or nobody."""

    CDN = "cdn"
    GEOIP = "geoip"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Location:
    """A caller's place and how it was found.

    ``vary`` names the request headers that it was read from, where those alone decide it: then any two
    requests that agree on them have the same location, and a shared cache may keep the answer
    (``shared``). Otherwise it hangs on the address of the caller, and no shared cache may.
    """

    place: Place | None
    source: Source
    shared: bool = False
    vary: tuple[str, ...] = ()
