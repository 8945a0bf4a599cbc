"""What the benchmark calls of the autorouter in its own process."""

from pathlib import Path

from autorouter.choose import Choice, Scope, choose
from autorouter.geoip import GeoIP
from autorouter.grid import Grid
from autorouter.grid_state import EdgeState, GridState
from autorouter.place import Place
from shared.regions import Regions

__all__ = ["Choice", "EdgeState", "GeoIP", "Grid", "GridState", "Place", "Scope", "chosen", "grid_of"]


def grid_of(regions: Regions) -> Grid:
    return Grid.of(regions, None)


def chosen(place: Place | None, scope: Scope, grid: Grid, state: GridState) -> Choice:
    return choose(place, scope, None, grid, state)


def open_geoip(file: Path) -> GeoIP:
    return GeoIP.open(file)
