"""The regions that callers can be sent to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from autorouter.nearest import Located, Nearest, unit_vector
from autorouter.place import Place
from autorouter.settings import AutorouterSettings
from autorouter.standing import Rosters
from shared import regions
from shared.regions import Region, by_name
from shared.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Grid:
    """All regions, those to choose from with their places, and the one for callers from nowhere.

    ``overrides`` are the regions that callers of a country (``CA``) or a subdivision (``CA-ON``) are sent
    to first.
    """

    regions: tuple[Region, ...]
    default: Region
    overrides: Mapping[str, tuple[Region, ...]] = field(default_factory=dict)
    candidates: tuple[Located, ...] = field(init=False, repr=False, compare=False)
    anywhere: Nearest = field(init=False, repr=False, compare=False)
    at_home: Mapping[str, Nearest] = field(init=False, repr=False, compare=False)
    rosters: Rosters = field(init=False, repr=False, compare=False)
    _by_name: Mapping[str, Region] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        candidates = tuple(
            (region, unit_vector(region.lat, region.lon)) for region in self.regions if region.discoverable
        )
        countries: dict[str, list[Located]] = {}
        for located in candidates:
            countries.setdefault(located[0].country, []).append(located)
        derived = {
            "candidates": candidates,
            "anywhere": Nearest(candidates),
            "at_home": {country: Nearest(located) for country, located in countries.items()},
            "rosters": Rosters(candidates),
            "_by_name": by_name(self.regions),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        regions: Iterable[Region],
        default: str | None,
        overrides: Mapping[str, tuple[Region, ...]] | None = None,
    ) -> Self:
        """Take *regions*, of which *default* is an id or alias; None is the first discoverable one.

        Raises:
            ValueError: no region is discoverable.
            LookupError: *default* names none of the discoverable ones.
        """
        known = tuple(regions)
        offered = [region for region in known if region.discoverable]
        if not offered:
            raise ValueError("no region is discoverable")
        first = offered[0] if default is None else by_name(offered)[default.lower()]
        return cls(known, first, overrides or {})

    def named(self, id_or_alias: str) -> Region | None:
        """Return the region of that id or alias, whatever its case, one that is not discoverable too."""
        return self._by_name.get(id_or_alias.lower())

    def rule(self, place: Place | None) -> str | None:
        """Return the key of the override that holds for callers at *place*: a subdivision's before its
        country's.
        """
        if not self.overrides or place is None or place.country is None:
            return None
        keys = (f"{place.country}-{place.subdivision}", place.country)
        return next((key for key in keys if key in self.overrides), None)


def load_grid(settings: AutorouterSettings) -> Grid:
    """Read the grid that the settings name.

    Raises:
        RegionsError: the regions file cannot be used, or has no discoverable region.
        SettingsError: the default region is none of those.
    """
    file = settings.regions_file or regions.default_path()
    known = regions.load(file)
    try:
        return Grid.of(known, settings.default_region, known.overrides)
    except ValueError as error:
        raise regions.RegionsError(f"{file}: {error}") from None
    except LookupError:
        raise SettingsError(
            f"NEAREDGE_DEFAULT_REGION: {settings.default_region!r} is no discoverable region of {file}; "
            "`nearedge regions list` shows them all"
        ) from None
