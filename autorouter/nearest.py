"""Finding the nearest regions at about the same cost among ten of them and ten thousand."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

from shared.regions import Region

Vector = tuple[float, float, float]
Located = tuple[Region, Vector]
"""A region and its place on the unit sphere."""

Found = tuple[float, str, Region]
"""A region, the length of the straight line to it through the unit sphere, and between them its id, so
that sorting puts equally near ones in the order of their ids.
"""

_Site = tuple[Vector, list[Region]]

FEW = 12
"""So many places, about, are looked at one by one."""


def unit_vector(lat: float, lon: float) -> Vector:
    """Return the point of the unit sphere at *lat* and *lon*, both in degrees."""
    phi, theta = math.radians(lat), math.radians(lon)
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)


class Nearest:
    """A k-d tree over the places of regions: a plane through the globe parts them into two halves, another
    plane each of these, and so on until few are left.

    The planes lie as in a heap: those that part the halves of plane *i* are planes 2 *i* + 1 and 2 *i* + 2.
    """

    def __init__(self, regions: Iterable[Located]) -> None:
        at: dict[Vector, list[Region]] = {}
        for region, vector in regions:
            at.setdefault(vector, []).append(region)
        self._places = len(at)
        self._axes: list[int] = []
        self._splits: list[float] = []
        parts = [list(at.items())]
        while len(parts[0]) > FEW:
            parts = [half for part in parts for half in self._halves(part)]
        # Sums are new numbers, which lie side by side in memory: that makes a search faster by half.
        self._vectors = [[(x + 0.0, y + 0.0, z + 0.0) for (x, y, z), _ in part] for part in parts]
        self._regions = [[tuple(here) for _, here in part] for part in parts]

    def _halves(self, part: list[_Site]) -> tuple[list[_Site], list[_Site]]:
        axes = list(zip(*(vector for vector, _ in part), strict=True))
        widths = [max(axis) - min(axis) for axis in axes]
        axis = widths.index(max(widths))
        part.sort(key=lambda site: site[0][axis])
        half = (len(part) + 1) // 2
        self._axes.append(axis)
        self._splits.append(part[half - 1][0][axis] + 0.0)
        return part[:half], part[half:]

    def find(
        self, here: Vector, wanted: int, acceptable: Callable[[Region], bool], among: Sequence[Located]
    ) -> list[Found]:
        """Return the *wanted* acceptable regions that are nearest to *here*, or all if there are fewer.

        *among* holds at least every acceptable region. Where these are so few that the tree would be
        searched far and wide for them, they are looked at one by one.
        """
        if len(among) <= FEW or len(among) ** 2 <= wanted * self._places:
            found = [
                (math.dist(here, vector), region.id, region) for region, vector in among if acceptable(region)
            ]
        else:
            found = self._search(here, wanted, acceptable)
        found.sort()
        return found[:wanted]

    def _search(self, here: Vector, wanted: int, acceptable: Callable[[Region], bool]) -> list[Found]:
        axes, splits = self._axes, self._splits
        planes = len(splits)
        found: list[Found] = []
        farthest = math.inf
        waiting = [(0.0, 0)]
        while waiting:
            gap, node = waiting.pop()
            if gap > farthest:
                continue
            while node < planes:
                gap = here[axes[node]] - splits[node]
                node += node + 1
                if gap > 0:
                    waiting.append((gap, node))
                    node += 1
                else:
                    waiting.append((-gap, node + 1))
            part = node - planes
            distances = map(math.dist, repeat(here), self._vectors[part])
            for distance, regions in zip(distances, self._regions[part]):  # noqa: B905 - slower when strict
                # Equally far ones too: their ids decide.
                if distance > farthest:
                    continue
                for region in regions:
                    if acceptable(region):
                        found.append((distance, region.id, region))  # noqa: PERF401 - mostly just one
                if len(found) >= wanted:
                    found.sort()
                    del found[wanted:]
                    farthest = found[-1][0]
        return found
