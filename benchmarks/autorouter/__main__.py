"""``python -m benchmarks.autorouter``."""

import argparse
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from autorouter.geoip import GeoIPError, default_path
from benchmarks import command, machine
from benchmarks.autorouter.bench import Bench
from benchmarks.autorouter.cores import Cores
from benchmarks.autorouter.product import open_geoip
from benchmarks.autorouter.workloads import WORKLOADS
from benchmarks.processes import BenchmarkError
from nearedge.console import load_settings

SMOKE_SECONDS = 1
SMOKE_ROUNDS = 1


def main() -> int:
    parser = command.parser(
        "python -m benchmarks.autorouter",
        "Measure the autorouter beside a bare app, nginx and PowerDNS. Missed targets are no failure.",
        WORKLOADS,
    )
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--connections", type=int, default=32, help="that are busy at any time")
    parser.add_argument("--seed", type=int, default=1, help="of callers, regions and orders")
    given = parser.parse_args()
    command.check(parser, given, WORKLOADS)
    if given.seconds < 1 or given.connections < 1:
        parser.error("--seconds and --connections are at least 1")
    return command.measure(given, WORKLOADS, machine.describe(), partial(prepare, given))


def prepare(given: argparse.Namespace, scratch: Path) -> Bench:
    """Find the GeoIP file.

    Raises:
        BenchmarkError: it cannot be used; the message says which command brings one.
    """
    file = default_path(load_settings())
    command.show(f"GeoIP file: {', '.join(f'{name} {value}' for name, value in facts_of(file).items())}")
    return Bench(
        rounds=SMOKE_ROUNDS if given.smoke else given.rounds,
        seed=given.seed,
        seconds=SMOKE_SECONDS if given.smoke else given.seconds,
        connections=given.connections,
        smoke=given.smoke,
        geoip_file=file,
        cores=Cores.here(),
        scratch=scratch,
        say=command.say,
    )


def facts_of(file: Path) -> dict[str, Any]:
    """Return what the GeoIP *file* is.

    Raises:
        BenchmarkError: it cannot be used.
    """
    try:
        with closing(open_geoip(file)) as geoip:
            built = datetime.fromtimestamp(geoip.info.build_epoch, UTC).date()
            return {"type": geoip.info.database_type, "built": built, "bytes": file.stat().st_size}
    except GeoIPError as error:
        raise BenchmarkError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
