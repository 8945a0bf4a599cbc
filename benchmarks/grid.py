"""One quantity at every point of a workload on every server."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.figures import Figure
from benchmarks.report import Table

T = TypeVar("T")

Point = int | str
"""What a workload varies: a number of streams, or a word where there is only one."""

Results = Mapping[Any, Mapping[str, Sequence[T]]]
"""What each round gave, by point and server; a mapping's key type is invariant."""


@dataclass(frozen=True, slots=True)
class Grid:
    """``figures`` are by point and server, both in the order of the tables."""

    figures: Mapping[Point, Mapping[str, Figure]]

    def at(self, point: Point, server: str) -> Figure:
        return self.figures[point][server]

    def highest(self, point: Point, servers: Iterable[str]) -> Figure:
        """Return the figure of the one of *servers* with the highest median."""
        return max((self.at(point, server) for server in servers), key=lambda found: found.median)

    def lowest(self, point: Point, servers: Iterable[str]) -> Figure:
        """Return the figure of the one of *servers* with the lowest median."""
        return min((self.at(point, server) for server in servers), key=lambda found: found.median)

    def table(self, title: str, corner: str, digits: int = 0) -> Table:
        """Return a table with a row for each server and a column for each point."""
        servers = list(next(iter(self.figures.values())))
        rows = (
            (server, *(found[server].show(digits) for found in self.figures.values())) for server in servers
        )
        return Table(
            f"{title}: median (lowest to highest round)", (corner, *map(str, self.figures)), tuple(rows)
        )

    def values(self) -> dict[str, dict[str, list[float]]]:
        """Return every round's number, for the JSON."""
        return {
            str(point): {server: list(found.values) for server, found in by_server.items()}
            for point, by_server in self.figures.items()
        }


def grid(results: Results[T], quantity: Callable[[T], float]) -> Grid:
    """Return one *quantity* of all *results*."""
    return Grid(
        {
            point: {server: Figure(tuple(map(quantity, found))) for server, found in by_server.items()}
            for point, by_server in results.items()
        }
    )
