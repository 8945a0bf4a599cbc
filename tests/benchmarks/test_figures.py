import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Figure, percentile, ratio

NUMBERS = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=40)


@given(NUMBERS)
def test_the_median_is_the_middle_percentile(values: list[float]) -> None:
    assert percentile(values, 50) == pytest.approx(statistics.median(values))
    assert percentile(values, 0) == min(values)
    assert percentile(values, 100) == max(values)


@given(NUMBERS, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_rise_with_the_percent(values: list[float], a: float, b: float) -> None:
    lower, upper = sorted((a, b))
    assert percentile(values, lower) <= percentile(values, upper) * (1 + 1e-12)


def test_a_percentile_between_two_values_is_interpolated() -> None:
    assert percentile([10.0, 20.0], 25) == 12.5


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_a_percentile_of_nothing_or_out_of_range_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile(values, percent)


def test_a_figure_shows_its_median_and_its_extremes() -> None:
    assert Figure((3.0, 1.0, 2.26)).show(1) == "2.3 (1.0 to 3.0)"


def test_a_ratio_is_of_medians_and_its_spread_of_rounds() -> None:
    found = ratio(Figure((10.0, 20.0, 30.0)), Figure((10.0, 10.0, 20.0)))
    assert (found.value, found.low, found.high) == (2.0, 1.0, 2.0)


def test_figures_of_different_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio(Figure((1.0,)), Figure((1.0, 2.0)))
