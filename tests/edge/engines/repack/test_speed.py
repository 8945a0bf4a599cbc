import pytest

from edge.engines.llama import Model
from edge.engines.repack import speed
from edge.engines.repack.speed import Gain, Runner, gain


def test_a_model_is_about_as_fast_as_itself(model: Model) -> None:
    found = gain(model, model, threads=1)
    assert 0.3 < found.alone < 3
    assert 0.3 < found.crowd < 3


def test_the_gain_is_the_median_over_rounds_that_run_both_in_turn(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[Runner] = []

    def stream_seconds(runner: Runner) -> tuple[float, float]:
        order.append(runner)
        slow = runner is order[0]
        hiccup = 100.0 if len(order) == 4 else 1.0
        return (3.0 if slow else 2.0 * hiccup), (8.0 if slow else 2.0 * hiccup)

    monkeypatch.setattr(speed, "_stream_seconds", stream_seconds)
    found = gain(model, model, threads=1)
    assert found == Gain(alone=1.5, crowd=4.0)
    assert found.overall == pytest.approx(6.0**0.5)
    first, second = order[:2]
    assert first is not second
    assert order == [first, second] * (speed.ROUNDS + 1)
