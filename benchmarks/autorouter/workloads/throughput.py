"""Requests per second and latencies, beside a bare app, nginx by map and PowerDNS by map."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import httpx

from autorouter.settings import AutorouterSettings
from benchmarks.autorouter import dnsperf, servers
from benchmarks.autorouter.addresses import Address
from benchmarks.autorouter.bench import Bench
from benchmarks.autorouter.load import Load
from benchmarks.autorouter.powerdns import NAME
from benchmarks.autorouter.product import GridState, Scope, chosen, grid_of
from benchmarks.autorouter.provinces import answer, by_province
from benchmarks.autorouter.servers import AUTOROUTER, BARE, Server, ServerSpec
from benchmarks.autorouter.tools import require
from benchmarks.figures import ratio
from benchmarks.grid import Grid, Point, grid
from benchmarks.processes import BenchmarkError
from benchmarks.report import Section, Sense, Table, Target
from shared import regions

BARE_GOAL = 0.8
MANY, ONE = "many callers", "one caller"
MANY_CALLERS, MANY_CALLERS_SMOKE = 50_000, 2_000
SAMPLE, SAMPLE_SMOKE = 1_000, 50
"""Callers whose answers are compared, so that it is known how often a map by province is right."""

QUANTITIES = {
    "per_second": ("Requests/s", 0),
    "p50_ms": ("Latency p50, ms", 2),
    "p99_ms": ("Latency p99, ms", 2),
    "cpu_us": ("Processor time of the server a request, microseconds", 1),
}


def run(bench: Bench) -> Section:
    """Measure; every server has one process (PowerDNS one thread) on the same core."""
    require(["wrk", "nginx", "pdns_server", "dnsperf", "taskset"])
    callers = bench.draw(MANY_CALLERS_SMOKE if bench.smoke else MANY_CALLERS, "callers")
    specs = _specs(bench)
    points: dict[Point, Any] = {
        MANY: bench.write_callers("many", callers, dns_name=NAME),
        ONE: bench.write_callers("one", callers[:1], dns_name=NAME),
    }
    with bench.servers(specs) as running:
        agreement = _agreement(running, callers[: SAMPLE_SMOKE if bench.smoke else SAMPLE])
        results = bench.interleave(running, points)
    grids = {quantity: grid(results, _getter(quantity)) for quantity in QUANTITIES}
    return Section(
        workload="throughput",
        reproduce=bench.reproduce("throughput"),
        about=(
            f"{bench.connections} connections (over DNS as many queries outstanding), {bench.seconds} s a "
            f"measurement; {bench.cores}. Many callers are {len(callers):,} random public addresses, half of "
            f"them IPv6. The map answers for the middle of a province, so it names the autorouter's region "
            f"for {agreement[servers.NGINX]:.1%} (nginx) and {agreement[servers.POWERDNS]:.1%} (PowerDNS) of "
            "the callers. Over DNS there are no names, countries, distances or fallbacks in the answer."
        ),
        conditions=bench.conditions,
        tables=(
            *(grids[quantity].table(title, "", digits) for quantity, (title, digits) in QUANTITIES.items()),
            ratios(grids["per_second"]),
        ),
        targets=tuple(targets(grids["per_second"])),
        servers={spec.name: _abridged(spec.shown()) for spec in specs},
        figures={quantity: found.values() for quantity, found in grids.items()} | {"agreement": agreement},
    )


def _specs(bench: Bench) -> list[ServerSpec]:
    shipped = grid_of(regions.load(regions.default_path()))
    places = islice(bench.places("provinces"), MANY_CALLERS_SMOKE if bench.smoke else MANY_CALLERS)
    choices = by_province(places, shipped)
    default = chosen(None, Scope.COUNTRY, shipped, GridState())
    ttl_seconds = AutorouterSettings().route_ttl_seconds
    constants = {province: answer(choice, province[0], ttl_seconds) for province, choice in choices.items()}
    constant = answer(default, None, ttl_seconds)
    return [
        bench.autorouter(),
        servers.bare(constant),
        servers.nginx_by_map(bench.scratch / "nginx", bench.geoip_file, constants, constant),
        servers.powerdns_by_map(bench.scratch / "pdns", bench.geoip_file, choices, default),
    ]


def _getter(quantity: str) -> Any:
    def get(load: Load) -> float:
        value: float = getattr(load, quantity)
        return value

    return get


def _agreement(running: Sequence[Server], sample: Sequence[Address]) -> dict[str, float]:
    """Return, for each server, the share of *sample* that it sends where the autorouter does."""
    by_name = {server.name: [_region(server, address) for address in sample] for server in running}
    ours = by_name[AUTOROUTER]
    return {
        name: sum(mine == theirs for mine, theirs in zip(ours, found, strict=True)) / len(sample)
        for name, found in by_name.items()
    }


def _region(server: Server, address: Address) -> str:
    if server.spec.dns_name is not None:
        return dnsperf.text(server.port, server.spec.dns_name, address).partition(" ")[0]
    try:
        found = httpx.get(server.url, headers={"X-Forwarded-For": str(address)}, trust_env=False)
        body: Mapping[str, Any] = found.raise_for_status().json()
    except httpx.HTTPError as error:
        raise BenchmarkError(f"{server.name} does not answer {address}: {error}") from None
    region: str = body["region"]
    return region


def _abridged(command: str) -> str:
    """The bare app's command line has its whole answer in it."""
    return command if len(command) <= 250 else f"{command[:250]}…"


def ratios(speeds: Grid) -> Table:
    """Return the autorouter's requests/s over those of each of the others."""
    others = [name for name in next(iter(speeds.figures.values())) if name != AUTOROUTER]
    rows = tuple(
        (
            f"over {other}",
            *(
                ratio(speeds.at(point, AUTOROUTER), speeds.at(point, other)).show()
                for point in speeds.figures
            ),
        )
        for other in others
    )
    return Table(
        "The autorouter's requests/s over those of others: ratio of medians (lowest to highest round)",
        ("", *map(str, speeds.figures)),
        rows,
    )


def targets(speeds: Grid) -> list[Target]:
    return [
        Target(
            f"{point}, requests/s over the bare app's",
            ratio(speeds.at(point, AUTOROUTER), speeds.at(point, BARE)),
            Sense.AT_LEAST,
            BARE_GOAL,
        )
        for point in speeds.figures
    ]
