"""What a content delivery network tells of the viewer of one request."""

import math
import re
from dataclasses import dataclass

from starlette.datastructures import Headers

from autorouter.cdns import ViewerHeaders
from autorouter.client_address import parse_address
from autorouter.networks import Address
from shared.countries import COUNTRY_CODES, SUBDIVISION_CODE


@dataclass(frozen=True, slots=True)
class Viewer:
    """What one request tells; whatever is absent, given twice or makes no sense is None."""

    country: str | None
    subdivision: str | None
    coordinates: tuple[float, float] | None
    address: Address | None


_DEGREES = re.compile(r"[+-]?\d{1,3}(\.\d{1,20})?", re.ASCII)


def read_viewer(headers: Headers, names: ViewerHeaders) -> Viewer:
    """Read the headers of *names*; whether to believe them is the caller's business."""
    country, subdivision = _code(headers, names.country), _code(headers, names.subdivision)
    lat, lon = _degrees(headers, names.latitude, 90.0), _degrees(headers, names.longitude, 180.0)
    address = _value(headers, names.address) or ""
    if names.address_has_port:
        # IPv6 comes without brackets, so the port is what follows the last colon.
        address = address.rpartition(":")[0]
    return Viewer(
        country=country if country in COUNTRY_CODES else None,
        subdivision=subdivision if subdivision and SUBDIVISION_CODE.fullmatch(subdivision) else None,
        coordinates=(lat, lon) if lat is not None and lon is not None else None,
        address=parse_address(address),
    )


def _value(headers: Headers, name: str | None) -> str | None:
    values = headers.getlist(name) if name is not None else []
    return values[0].strip() if len(values) == 1 else None


def _code(headers: Headers, name: str | None) -> str | None:
    text = _value(headers, name)
    # The capitals of some letters are ASCII, which they are not.
    return text.upper() if text is not None and text.isascii() else None


def _degrees(headers: Headers, name: str | None, most: float) -> float | None:
    text = _value(headers, name)
    if text is None or _DEGREES.fullmatch(text) is None:
        return None
    degrees = float(text)
    return degrees if math.fabs(degrees) <= most else None
