from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.accounts.measures import Measures, cost
from edge.models.prices import Price

amounts = st.integers(0, 10**9)
counts = st.integers(0, 10**7)
prices = st.builds(Price, amounts, amounts, amounts, amounts, amounts)
measures = st.builds(
    lambda fresh, cached, rest: Measures(fresh + cached, cached, *rest),
    counts,
    counts,
    st.tuples(counts, counts, counts),
)


@pytest.mark.parametrize(
    ("price", "used", "micro"),
    [
        (Price(input=200_000), Measures(prompt_tokens=1_000_000), 200_000),
        (Price(input=200_000, cached=50_000), Measures(prompt_tokens=100, cached_tokens=60), 8 + 3),
        (Price(output=750_000), Measures(completion_tokens=3), 3),
        (Price(minute=6_000), Measures(audio_ms=90_000), 9_000),
        (Price(thousand_characters=15_000), Measures(characters=10), 150),
        (Price(minute=1), Measures(audio_ms=1), 1),
        (Price(), Measures(10, 0, 10, 10, 10), 0),
        (Price(1, 1, 1, 1, 1), Measures(), 0),
    ],
)
def test_what_calls_cost(price: Price, used: Measures, micro: int) -> None:
    assert cost(price, used) == micro


@given(prices, measures)
def test_the_exact_sum_is_rounded_up_once(price: Price, used: Measures) -> None:
    exact = (
        Fraction((used.prompt_tokens - used.cached_tokens) * price.input, 1_000_000)
        + Fraction(used.cached_tokens * price.cached, 1_000_000)
        + Fraction(used.completion_tokens * price.output, 1_000_000)
        + Fraction(used.audio_ms * price.minute, 60_000)
        + Fraction(used.characters * price.thousand_characters, 1_000)
    )
    assert 0 <= cost(price, used) - exact < 1
