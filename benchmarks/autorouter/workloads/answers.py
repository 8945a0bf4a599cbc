"""Right answers: what the autorouter says to random addresses, beside a brute-force check."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import maxminddb

from benchmarks.autorouter.addresses import Address, is_checkable, random_callers
from benchmarks.autorouter.ask import ask_all
from benchmarks.autorouter.bench import Bench
from benchmarks.autorouter.brute_force import BruteForce
from benchmarks.autorouter.grids import random_regions, write
from benchmarks.figures import Ratio
from benchmarks.report import Section, Sense, Table, Target
from shared import regions

ADDRESSES, ADDRESSES_SMOKE = 100_000, 1_000
WORLD, WORLD_ADDRESSES = 1_000, 10_000
"""Also over so many regions, for which so many addresses are asked about: brute force is slow there."""

SCOPES = ("country", "global")
SHOWN = 10
"""Wrong answers that are told in full."""


@dataclass(frozen=True, slots=True)
class Checked:
    """``known`` are addresses whose place the file knows; ``wrong`` says what was wrong with an answer."""

    addresses: int
    v6: int
    known: int
    asked: int
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        return 1 - len(self.wrong) / self.asked


def run(bench: Bench) -> Section:
    """Ask over HTTP about every address in both scopes, and compare all that the answers say."""
    world = write(random_regions(bench.places("regions"), WORLD), bench.scratch / "world.yaml")
    grids = {
        "the shipped regions": (regions.default_path(), ADDRESSES),
        f"{WORLD:,} random regions": (world, WORLD_ADDRESSES),
    }
    specs = {name: bench.autorouter(regions_file=file, name=name) for name, (file, _) in grids.items()}
    found: dict[str, Checked] = {}
    with bench.servers(list(specs.values())) as running:
        for server in running:
            file, count = grids[server.name]
            count = ADDRESSES_SMOKE if bench.smoke else count
            bench.say(f"{count:,} addresses, {server.name}")

            def check(port: int = server.port, file: Path = file, count: int = count) -> Checked:
                return _check(bench, port, file, count)

            found[server.name] = bench.run(server, running, check)
    for name, checked in found.items():
        for wrong in checked.wrong[:SHOWN]:
            bench.say(f"wrong, {name}: {wrong}")
    shares = {name: checked.share for name, checked in found.items()}
    rows = tuple(
        (
            name,
            f"{checked.addresses:,}",
            f"{checked.v6:,}",
            f"{checked.known:,}",
            f"{checked.asked:,}",
            f"{len(checked.wrong):,}",
        )
        for name, checked in found.items()
    )
    return Section(
        workload="answers",
        reproduce=bench.reproduce("answers"),
        about=(
            "Each address is asked about over HTTP in both scopes, as X-Forwarded-For of a trusted proxy. An "
            "answer is right if region, fallbacks, country and reason, and the distance to 0.1 km, equal "
            "those of a program that shares no code with the autorouter: it reads the GeoIP file's raw "
            "records and sorts all regions by the haversine formula. IPv4 addresses are uniform over the "
            "public ones; of the IPv6 ones, drawn from what the registries hand out, half are in the file. "
            "Addresses of which only the country is known are left out."
        ),
        conditions=bench.conditions,
        tables=(
            Table(
                "Answers beside brute force",
                ("", "addresses", "of them IPv6", "in the file", "answers", "wrong"),
                rows,
            ),
        ),
        targets=tuple(
            Target(f"share of right answers, {name}", Ratio(share, share, share), Sense.AT_LEAST, 1.0)
            for name, share in shares.items()
        ),
        servers={spec.name: spec.shown() for spec in specs.values()},
        figures={
            name: {"asked": checked.asked, "wrong": list(checked.wrong)} for name, checked in found.items()
        },
    )


def _check(bench: Bench, port: int, regions_file: Path, count: int) -> Checked:
    with maxminddb.open_database(bench.geoip_file) as reader:
        drawn = random_callers(reader, bench.source("answers", count))
        addresses = list(islice((address for address in drawn if is_checkable(reader.get(address))), count))
        wrong = list(wrong_answers(port, addresses, BruteForce(regions_file, reader)))
        return Checked(
            addresses=count,
            v6=sum(address.version == 6 for address in addresses),
            known=sum(reader.get(address) is not None for address in addresses),
            asked=count * len(SCOPES),
            wrong=tuple(wrong),
        )


def wrong_answers(port: int, addresses: Sequence[Address], brute_force: BruteForce) -> Iterator[str]:
    questions = [(str(address), scope) for address in addresses for scope in SCOPES]
    answers = asyncio.run(ask_all(port, questions))
    asked = ((address, scope) for address in addresses for scope in SCOPES)
    for (address, scope), answer in zip(asked, answers, strict=True):
        difference = brute_force.expected(address, scope).differs(answer)
        if difference is not None:
            yield f"{address}, scope {scope}: {difference}"
