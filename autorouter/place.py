"""Where a caller is, as far as anybody can tell."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """``country`` is ISO 3166-1 alpha-2, ``subdivision`` the first level below it (ISO 3166-2 without the
    country), ``lat`` and ``lon`` are decimal degrees; what is unknown is None, the coordinates together.
    """

    country: str | None
    subdivision: str | None
    lat: float | None
    lon: float | None
