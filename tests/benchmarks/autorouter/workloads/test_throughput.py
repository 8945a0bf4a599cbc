from benchmarks.autorouter.workloads.throughput import ratios, targets
from benchmarks.grid import grid

SPEEDS = {
    "many callers": {"nearedge": [80.0, 90.0], "bare app": [100.0, 100.0], "nginx": [1000.0, 1000.0]},
    "one caller": {"nearedge": [70.0, 70.0], "bare app": [100.0, 100.0], "nginx": [1000.0, 1000.0]},
}


def test_only_the_bare_app_is_a_goal() -> None:
    found = targets(grid(SPEEDS, float))
    assert [(target.measured.value, target.goal, target.met) for target in found] == [
        (0.85, 0.8, True),
        (0.7, 0.8, False),
    ]


def test_every_other_server_has_its_ratio() -> None:
    table = ratios(grid(SPEEDS, float))
    assert table.columns == ("", "many callers", "one caller")
    assert [row[0] for row in table.rows] == ["over bare app", "over nginx"]
    assert table.rows[1][1:] == ("0.085 (0.080 to 0.090)", "0.070 (0.070 to 0.070)")
