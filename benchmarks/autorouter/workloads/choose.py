"""What a choice costs among 10, 1,000 and 10,000 regions."""

import time
from collections.abc import Sequence
from itertools import islice

from autorouter.place import Place
from benchmarks.autorouter.bench import Bench
from benchmarks.autorouter.grids import random_regions, scattered, write
from benchmarks.autorouter.product import EdgeState, Grid, GridState, Scope, chosen, grid_of
from benchmarks.autorouter.tools import require
from benchmarks.figures import Figure, ratio
from benchmarks.grid import Grid as Figures
from benchmarks.grid import Point, grid
from benchmarks.machine import Look
from benchmarks.report import Section, Sense, Table, Target
from shared.regions import Regions

SIZES = (10, 1_000, 10_000)
GOAL = 1.5
PLACES, PLACES_SMOKE = 20_000, 500
CALLERS, CALLERS_SMOKE = 100_000, 2_000
EVERY = 10
"""One edge in so many is down where the edges are watched."""

HTTP = "a request over HTTP"


def run(bench: Bench) -> Section:
    """Measure the function here, then requests to autorouters that differ only in their regions."""
    require(["wrk", "taskset"])
    largest = random_regions(bench.places("regions"), max(SIZES))
    sizes = {size: Regions(largest.all[:size]) for size in SIZES}
    choices = _in_process(bench, sizes)
    in_process = bench.conditions
    specs = [
        bench.autorouter(regions_file=write(listed, bench.scratch / f"regions-{size}.yaml"), name=_name(size))
        for size, listed in sizes.items()
    ]
    callers = bench.draw(CALLERS_SMOKE if bench.smoke else CALLERS, "choose", "callers")
    with bench.servers(specs) as running:
        results = bench.interleave(running, {HTTP: bench.write_callers("choose", callers)})
    cpu = grid(results, lambda load: load.cpu_us)
    speed = grid(results, lambda load: load.per_second)
    return Section(
        workload="choose",
        reproduce=bench.reproduce("choose"),
        about=(
            "Regions in random cities of the world. In process: each round chooses for "
            f"{PLACES_SMOKE if bench.smoke else PLACES:,} places that no round before had, one after the "
            f"other; {'/'.join(_name(size) for size in SIZES)} by turns. "
            f"“{EVERY - 1} of {EVERY} up” is a grid whose edges are polled and one in {EVERY} is down. "
            f"Over HTTP: {bench.connections} connections, {len(callers):,} random callers; {bench.cores}."
        ),
        conditions=in_process.worst(bench.conditions),
        tables=(
            choices.table("Processor time of a choice, microseconds", "regions", 2),
            cpu.table("Processor time of the server a request, microseconds", "regions", 1),
            speed.table("Requests/s", "regions"),
            _ratios(choices, cpu),
        ),
        targets=tuple(targets(choices) + targets(cpu)),
        servers={spec.name: spec.shown() for spec in specs},
        figures={
            "choice_cpu_us": choices.values(),
            "request_cpu_us": cpu.values(),
            "requests_per_second": speed.values(),
        },
    )


def _name(size: int) -> str:
    return f"{size:,} regions"


def _in_process(bench: Bench, sizes: dict[int, Regions]) -> Figures:
    grids = {size: grid_of(listed) for size, listed in sizes.items()}
    states = {"": dict.fromkeys(sizes, GridState()), f", {EVERY - 1} of {EVERY} up": _watched(sizes)}
    points = {f"scope {scope.value}{state}": (scope, state) for scope in Scope for state in states}
    times: dict[Point, dict[str, list[float]]] = {
        point: {_name(size): [] for size in sizes} for point in points
    }
    before = Look.take([], [])
    for number in range(bench.rounds):
        bench.say(f"round {number + 1} of {bench.rounds}: choices in process")
        source = bench.source("scatter", number)
        wanted = PLACES_SMOKE if bench.smoke else PLACES
        for point, (scope, state) in points.items():
            # Places of its own: whatever is remembered of one must not help the next.
            drawn = islice(bench.places("choose", number, point), wanted)
            places = [scattered(place, source) for place in drawn]
            order = list(sizes)
            source.shuffle(order)
            for size in order:
                found = cpu_us(places, scope, grids[size], states[state][size])
                times[point][_name(size)].append(found)
    bench.conditions = before.until(Look.take([], []))
    return grid(times, float)


def _watched(sizes: dict[int, Regions]) -> dict[int, GridState]:
    return {
        size: GridState(
            {
                region.id: EdgeState(up=number % EVERY != EVERY - 1, models={})
                for number, region in enumerate(listed)
            },
            watched=True,
        )
        for size, listed in sizes.items()
    }


def cpu_us(places: Sequence[Place], scope: Scope, among: Grid, state: GridState) -> float:
    """Return the processor time of one choice, in microseconds: the mean over *places*."""
    started = time.process_time()
    for place in places:
        chosen(place, scope, among, state)
    return (time.process_time() - started) / len(places) * 1e6


def growth(figures: Figures, point: Point) -> tuple[Figure, Figure]:
    """Return the cost among most regions, and that among fewest."""
    return figures.at(point, _name(max(SIZES))), figures.at(point, _name(min(SIZES)))


def _ratios(*all_figures: Figures) -> Table:
    rows = tuple(
        (str(point), ratio(*growth(figures, point)).show())
        for figures in all_figures
        for point in figures.figures
    )
    return Table(
        f"Cost among {max(SIZES):,} regions over that among {min(SIZES)}: ratio of medians "
        "(lowest to highest round)",
        ("", "ratio"),
        rows,
    )


def targets(figures: Figures) -> list[Target]:
    return [
        Target(
            f"{point}, cost among {max(SIZES):,} regions over {min(SIZES)}",
            ratio(*growth(figures, point)),
            Sense.AT_MOST,
            GOAL,
        )
        for point in figures.figures
    ]
