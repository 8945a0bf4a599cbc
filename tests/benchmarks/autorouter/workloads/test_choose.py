import time

import pytest

from autorouter.choose import Scope
from autorouter.grid import Grid
from autorouter.grid_state import GridState
from autorouter.place import Place
from benchmarks.autorouter.workloads import choose
from benchmarks.autorouter.workloads.choose import cpu_us, targets
from benchmarks.grid import grid
from shared.regions import Region

COSTS = {
    "a": {"10 regions": [10.0], "1,000 regions": [99.0], "10,000 regions": [15.0]},
    "b": {"10 regions": [10.0], "1,000 regions": [1.0], "10,000 regions": [16.0]},
}


def test_the_cost_among_most_regions_is_compared_with_that_among_fewest() -> None:
    found = targets(grid(COSTS, float))
    assert [(target.measured.value, target.met) for target in found] == [(1.5, True), (1.6, False)]


def test_the_cost_of_one_choice_is_the_mean_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []

    def busy(place: Place, scope: Scope, grid: Grid, state: GridState) -> None:
        chosen.append((place, scope))
        until = time.process_time() + 0.002
        while time.process_time() < until:
            pass

    monkeypatch.setattr(choose, "chosen", busy)
    places = [Place("CA", None, float(number), 0.0) for number in range(10)]
    region = Region("yto-01", "Toronto", "Canada Central", "CA", 43.65, -79.38, "https://yto-01.example")
    found = cpu_us(places, Scope.GLOBAL, Grid.of([region], None), GridState())
    assert chosen == [(place, Scope.GLOBAL) for place in places]
    assert 2000 <= found < 4000
