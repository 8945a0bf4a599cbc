"""The answer of a program that shares nothing with the autorouter: it measures the way to every region."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import maxminddb
import yaml

RADIUS_KM = 6371.0088
FALLBACKS = 2
TOLERANCE_KM = 0.1001
"""The answer's distance is rounded to a tenth."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must say; ``regions`` are the chosen one and the fallbacks."""

    regions: tuple[str, ...]
    country: str | None
    distance_km: float | None
    reason: str

    def differs(self, answer: Mapping[str, Any]) -> str | None:
        """Return what is wrong with *answer*, or None."""
        given = (answer["region"], *(fallback["region"] for fallback in answer["fallbacks"]))
        if given != self.regions:
            return f"regions {given} instead of {self.regions}"
        if answer["country"] != self.country or answer["reason"] != self.reason:
            return f"{answer['country']}, {answer['reason']} instead of {self.country}, {self.reason}"
        distance = answer["distance_km"]
        if (distance is None) != (self.distance_km is None):
            return f"{distance} km instead of {self.distance_km}"
        if self.distance_km is not None and abs(distance - self.distance_km) > TOLERANCE_KM:
            return f"{distance} km instead of {self.distance_km}"
        return None


class BruteForce:
    """Over the regions file and the GeoIP file that the autorouter reads too."""

    def __init__(self, regions_file: Path, reader: maxminddb.Reader) -> None:
        listed = yaml.safe_load(regions_file.read_text("utf-8"))["regions"]
        self._regions = [region for region in listed if region.get("discoverable", True)]
        self._reader = reader

    def expected(self, address: IPv4Address | IPv6Address, scope: str) -> Expected:
        """Return what must be said to *address*, whose record has coordinates or is none."""
        record: Any = self._reader.get(address) or {}
        country = record.get("country", {}).get("iso_code")
        location = record.get("location", {})
        if "latitude" in location and "longitude" in location:
            return self._nearest(location["latitude"], location["longitude"], country, scope)
        default = self._regions[0]
        others = sorted(
            self._regions[1:],
            key=lambda region: (_haversine_km(default["lat"], default["lon"], region), region["id"]),
        )
        regions = tuple(region["id"] for region in [default, *others[:FALLBACKS]])
        return Expected(regions, country, None, "default")

    def _nearest(self, lat: float, lon: float, country: str | None, scope: str) -> Expected:
        by_distance = sorted(
            (_haversine_km(lat, lon, region), region["id"], region["country"]) for region in self._regions
        )
        at_home = [found for found in by_distance if scope == "country" and found[2] == country]
        abroad = [found for found in by_distance if not (scope == "country" and found[2] == country)]
        ranked = [*at_home, *abroad][: 1 + FALLBACKS]
        return Expected(
            regions=tuple(region for _, region, _ in ranked),
            country=country,
            distance_km=ranked[0][0],
            reason="country" if at_home else "nearest",
        )


def _haversine_km(lat: float, lon: float, region: Mapping[str, Any]) -> float:
    """Return the length of the great circle, by the haversine formula."""
    phi_1, phi_2 = math.radians(lat), math.radians(region["lat"])
    half_phi = (phi_2 - phi_1) / 2
    half_lambda = math.radians(region["lon"] - lon) / 2
    a = math.sin(half_phi) ** 2 + math.cos(phi_1) * math.cos(phi_2) * math.sin(half_lambda) ** 2
    return 2 * RADIUS_KM * math.atan2(math.sqrt(a), math.sqrt(max(0.0, 1 - a)))
