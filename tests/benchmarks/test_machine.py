import subprocess
import sys

import pytest

from benchmarks.machine import QUIET, Conditions, Look, describe


def test_the_machine_is_described_by_what_figures_depend_on() -> None:
    facts = describe()
    assert facts["cores"] >= 1
    assert facts["cpu"]
    assert facts["memory_gib"] > 0


def test_time_of_processes_that_are_not_ours_is_foreign() -> None:
    before = Look(at=0.0, busy=100.0, stolen=1.0, ours=50.0, idle_peers=5.0)
    after = Look(at=10.0, busy=110.0, stolen=2.0, ours=56.0, idle_peers=5.5)
    found = before.until(after)
    cores = 4.0 / (10.0 * found.foreign)
    assert found.seconds == 10.0
    assert cores >= 1
    assert cores == round(cores)
    assert found.stolen == 1.0 / (10.0 * cores)
    assert found.idle_peers == 0.5 / (10.0 * cores)


@pytest.mark.parametrize(
    ("foreign", "stolen", "quiet"), [(0.01, 0.01, True), (0.5, 0, False), (0, 0.5, False)]
)
def test_a_machine_that_was_not_quiet_is_told_of(foreign: float, stolen: float, quiet: bool) -> None:
    found = Conditions(seconds=1.0, foreign=foreign, stolen=stolen, idle_peers=0.0)
    assert found.quiet is quiet
    assert ("NOT QUIET" in str(found)) is not quiet


def test_the_worst_of_two_measurements_is_kept() -> None:
    first = Conditions(seconds=1.0, foreign=0.5, stolen=0.0, idle_peers=0.1)
    second = Conditions(seconds=2.0, foreign=0.1, stolen=0.2, idle_peers=0.0)
    assert QUIET.worst(first).worst(second) == Conditions(3.0, 0.5, 0.2, 0.1)


def test_what_this_process_spends_is_ours() -> None:
    before = Look.take([], [])
    sum(range(3_000_000))
    after = Look.take([], [])
    assert after.ours > before.ours
    assert after.idle_peers == 0


def test_what_a_program_spends_that_this_process_ran_is_ours() -> None:
    before = Look.take([], [])
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    after = Look.take([], [])
    assert after.ours - before.ours > 0.1
