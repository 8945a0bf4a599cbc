from benchmarks.grid import grid
from benchmarks.llm.workloads.throughput import targets

RIVALS = ["llama-server split", "llama-server unified"]


def test_each_point_is_compared_with_the_best_of_the_rivals_there() -> None:
    speeds = {
        1: {
            "nearedge": [12.0],
            "llama-server split": [10.0],
            "llama-server unified": [8.0],
            "bundled": [9.0],
        },
        4: {
            "nearedge": [18.0],
            "llama-server split": [10.0],
            "llama-server unified": [20.0],
            "bundled": [8.0],
        },
    }
    firsts = {
        1: {
            "nearedge": [90.0],
            "llama-server split": [100.0],
            "llama-server unified": [200.0],
            "bundled": [9.0],
        },
        4: {
            "nearedge": [90.0],
            "llama-server split": [80.0],
            "llama-server unified": [60.0],
            "bundled": [9.0],
        },
    }
    found = targets(grid(speeds, float), grid(firsts, float), RIVALS)
    assert [(target.measured.value, target.goal, target.met) for target in found] == [
        (1.2, 1.0, True),
        (0.9, 1.0, True),
        (0.9, 1.0, False),
        (1.5, 1.0, False),
        (2.25, 2.0, True),
    ]
