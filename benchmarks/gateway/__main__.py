"""``python -m benchmarks.gateway``."""

import argparse
import sys
from functools import partial
from pathlib import Path

from benchmarks import command, machine
from benchmarks.autorouter.cores import Cores
from benchmarks.gateway.bench import Bench
from benchmarks.gateway.workloads import WORKLOADS

SMOKE_SECONDS = 1
SMOKE_ROUNDS = 1


def main() -> int:
    parser = command.parser(
        "python -m benchmarks.gateway",
        "Measure what keys, limits and metering cost, beside LiteLLM's proxy. Missed targets are no failure.",
        WORKLOADS,
    )
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--connections", type=int, default=32, help="that are busy at any time")
    parser.add_argument("--seed", type=int, default=1, help="of orders")
    given = parser.parse_args()
    command.check(parser, given, WORKLOADS)
    if given.seconds < 1 or given.connections < 1:
        parser.error("--seconds and --connections are at least 1")
    return command.measure(given, WORKLOADS, machine.describe(), partial(prepare, given))


def prepare(given: argparse.Namespace, scratch: Path) -> Bench:
    return Bench(
        rounds=SMOKE_ROUNDS if given.smoke else given.rounds,
        seed=given.seed,
        seconds=SMOKE_SECONDS if given.smoke else given.seconds,
        connections=given.connections,
        smoke=given.smoke,
        cores=Cores.here(),
        scratch=scratch,
        say=command.say,
    )


if __name__ == "__main__":
    sys.exit(main())
