"""What a GeoIP file says of one network, in MaxMind's layout of City and Country files.

DB-IP's files have that layout too. Its free ones name subdivisions without a code, so callers that they
place have none; where nothing is known the country is ZZ.
"""

from collections.abc import Mapping
from typing import Any

from autorouter.place import Place
from shared.countries import COUNTRY_CODES, SUBDIVISION_CODE

UNKNOWN_COUNTRY = "ZZ"


def read_place(record: object) -> Place | None:
    """Return the place that *record* tells, or None if it tells none. Codes that nobody knows and
    coordinates that lie nowhere are left out.

    Raises:
        ValueError: it is no record of a City or Country file.
    """
    fields = _map(record)
    country = _map(fields.get("country", {})).get("iso_code")
    if country == UNKNOWN_COUNTRY:
        return None
    lat, lon = _coordinates(_map(fields.get("location", {})))
    place = Place(
        country=country if isinstance(country, str) and country in COUNTRY_CODES else None,
        subdivision=_subdivision(fields.get("subdivisions")),
        lat=lat,
        lon=lon,
    )
    return place if place.country is not None or place.lat is not None else None


def _map(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not a map but {type(value).__name__}")
    return value


def _subdivision(value: object) -> str | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        raise ValueError(f"subdivisions are not a list but {type(value).__name__}")
    code = _map(value[0]).get("iso_code")
    return code if isinstance(code, str) and SUBDIVISION_CODE.fullmatch(code) else None


def _coordinates(location: Mapping[str, Any]) -> tuple[float, float] | tuple[None, None]:
    lat, lon = location.get("latitude"), location.get("longitude")
    # A comparison with NaN is false too.
    if isinstance(lat, float) and isinstance(lon, float) and abs(lat) <= 90 and abs(lon) <= 180:
        return lat, lon
    return None, None
