"""Regions all over the world, as many as wanted."""

import json
import random
from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from autorouter.place import Place
from benchmarks.processes import BenchmarkError
from shared.regions import Region, Regions

DRAWS_A_REGION = 200
"""Places that may be drawn for one more region before the file counts as too small."""


def random_regions(places: Iterable[Place], count: int) -> Regions:
    """Return *count* regions in as many cities, those of *places* in their order.

    Raises:
        BenchmarkError: *places* has too few different ones.
    """
    found: dict[tuple[float, float], Region] = {}
    for place in islice(places, count * DRAWS_A_REGION):
        if place.country is None or place.lat is None or place.lon is None:
            continue
        number = f"{len(found):05}"
        region = Region(
            id=f"r{number}",
            name=f"Region {number}",
            location=place.subdivision or place.country,
            country=place.country,
            lat=place.lat,
            lon=place.lon,
            url=f"https://api.r{number}.edge.example",
        )
        found.setdefault((place.lat, place.lon), region)
        if len(found) == count:
            return Regions(tuple(found.values()))
    raise BenchmarkError(f"the GeoIP file names only {len(found)} cities; {count} are needed")


def write(regions: Regions, file: Path) -> Path:
    """Write *regions* as a regions file. JSON is YAML too."""
    entries = [asdict(region) for region in regions]
    file.write_text(json.dumps({"regions": entries}), "utf-8")
    return file


def scattered(place: Place, source: random.Random) -> Place:
    """Return *place* moved by up to about 10 km, so that hardly two callers are at one and the same."""
    if place.lat is None or place.lon is None:
        return place
    return replace(
        place,
        lat=max(-90.0, min(90.0, place.lat + source.uniform(-0.1, 0.1))),
        lon=max(-180.0, min(180.0, place.lon + source.uniform(-0.1, 0.1))),
    )
