import time

import pytest

from benchmarks.speech.workloads.beside import together


def test_each_is_measured_while_the_others_go_on() -> None:
    calls = {"quick": 0, "slow": 0}

    def work(kind: str, seconds: float) -> None:
        calls[kind] += 1
        time.sleep(seconds)

    taken = together({"quick": lambda: work("quick", 0.02), "slow": lambda: work("slow", 0.3)})
    assert taken["quick"] < 0.2 < taken["slow"]
    assert calls["quick"] > 3
    assert calls["slow"] == 1


def test_one_that_fails_ends_the_others() -> None:
    def fail() -> None:
        raise RuntimeError("the voice is gone")

    with pytest.raises(RuntimeError, match="the voice is gone"):
        together({"voice": fail, "ear": lambda: time.sleep(0.02)})
