"""Where the people of each country and of each of its subdivisions live, in the middle.

``subdivisions.csv`` beside this module says it; ``scripts/subdivisions.py`` makes that file and tells from
what.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

Coordinates = tuple[float, float]
"""Latitude and longitude in decimal degrees."""

FILE = Path(__file__).with_name("subdivisions.csv")


def country_middle(country: str) -> Coordinates | None:
    """Return the middle of a country, given by its two letters; None if it is unknown or uninhabited."""
    return middles().get(country)


def subdivision_middle(country: str, subdivision: str) -> Coordinates | None:
    """Return the middle of a subdivision, given by its code without the country; None if it is unknown."""
    return middles().get(f"{country}-{subdivision}")


@cache
def middles() -> Mapping[str, Coordinates]:
    """Return every middle by ISO 3166 code (``CA``, ``CA-ON``). Reads the file at the first call: some ms."""
    found = {}
    for line in FILE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            code, lat, lon = line.split(",")
            found[code] = float(lat), float(lon)
    return found
