import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.store.sketch import ACCURACY, LEAST_MS, MOST_MS, Sketch

times = st.lists(st.floats(LEAST_MS, MOST_MS), min_size=1, max_size=200)


def true_quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


@given(times, st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_the_stated_accuracy(values: list[float], share: float) -> None:
    true = true_quantile(values, share)
    assert abs(Sketch(values).quantile(share) - true) <= true * ACCURACY * 1.0001


@given(times, times)
def test_merging_is_the_same_as_counting_all_in_one(some: list[float], others: list[float]) -> None:
    merged = Sketch(some)
    merged.merge(Sketch(others))
    assert merged.to_bytes() == Sketch(some + others).to_bytes()
    assert merged.count == len(some) + len(others)


def test_what_is_written_is_read_back() -> None:
    sketch = Sketch(random.Random(1).lognormvariate(5, 1) for _ in range(1000))
    again = Sketch.from_bytes(sketch.to_bytes())
    assert again.count == 1000
    assert again.quantile(0.95) == sketch.quantile(0.95)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_nothing_counted_is_zero(share: float) -> None:
    assert Sketch().quantile(share) == 0.0


def test_however_many_times_it_stays_small() -> None:
    values = [LEAST_MS * (MOST_MS / LEAST_MS) ** (number / 20_000) for number in range(20_001)]
    assert len(Sketch([0.0, -1.0, 1e300, *values]).to_bytes()) < 8_000
