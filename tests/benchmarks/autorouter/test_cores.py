import subprocess
import sys

from benchmarks.autorouter.cores import Cores, pinned


def test_server_and_load_have_a_core_each_where_there_are_two() -> None:
    assert Cores.of({7, 3, 5}) == Cores(server=3, load=5)
    assert str(Cores.of({0, 1})) == "the server has core 0, the load core 1"


def test_one_core_is_shared_and_that_is_told() -> None:
    assert Cores.of({4}) == Cores(server=4, load=4)
    assert "share core 4" in str(Cores.of({4}))


def test_a_pinned_command_runs_on_its_core_alone() -> None:
    core = Cores.here().load
    script = "import os; print(os.sched_getaffinity(0))"
    found = subprocess.run(pinned(core, [sys.executable, "-c", script]), capture_output=True, text=True)
    assert found.stdout.strip() == f"{{{core}}}"
