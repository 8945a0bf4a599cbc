"""The regions that callers can be sent to."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from autorouter.settings import AutorouterSettings
from shared import regions
from shared.regions import Region
from shared.settings import SettingsError

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """The regions to choose from with their unit vectors, and the one for callers from nowhere.

    ``regions`` are all that the file has.
    """

    candidates: tuple[tuple[Region, Vector], ...]
    default: Region
    regions: tuple[Region, ...] = ()

    @classmethod
    def of(cls, regions: Iterable[Region], default: str | None) -> Self:
        """Take the discoverable ones of *regions*, of which *default* is an id or alias; None is the first.

        Raises:
            ValueError: no region is discoverable.
            LookupError: *default* names none of them.
        """
        known = tuple(regions)
        offered = [region for region in known if region.discoverable]
        if not offered:
            raise ValueError("no region is discoverable")
        named = {name.lower(): region for region in offered for name in (region.id, *region.aliases)}
        return cls(
            candidates=tuple((region, unit_vector(region.lat, region.lon)) for region in offered),
            default=offered[0] if default is None else named[default.lower()],
            regions=known,
        )


def unit_vector(lat: float, lon: float) -> Vector:
    """Return the point of the unit sphere at *lat* and *lon*, both in degrees."""
    phi, theta = math.radians(lat), math.radians(lon)
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)


def load_grid(settings: AutorouterSettings) -> Grid:
    """Read the grid that the settings name.

    Raises:
        RegionsError: the regions file cannot be used, or has no discoverable region.
        SettingsError: the default region is none of those.
    """
    file = settings.regions_file or regions.default_path()
    try:
        return Grid.of(regions.load(file), settings.default_region)
    except ValueError as error:
        raise regions.RegionsError(f"{file}: {error}") from None
    except LookupError:
        raise SettingsError(
            f"NEAREDGE_DEFAULT_REGION: {settings.default_region!r} is no discoverable region of {file}; "
            "`nearedge regions list` shows them all"
        ) from None
