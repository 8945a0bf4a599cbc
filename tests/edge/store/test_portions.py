from hypothesis import given
from hypothesis import strategies as st

from edge.store import portions

AMOUNTS = st.integers(0, 10**12)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_draw_gets_what_it_needs_and_no_more_than_is_there_or_wished(
    need: int, rest: int, wish: int
) -> None:
    balance = need + rest
    amount = portions.drawn(balance, need=need, wish=wish)
    assert need <= amount <= max(need, min(wish, balance // 4)) <= balance


@given(st.integers(-(10**12), 10**12), AMOUNTS, st.integers(1, 10**9))
def test_a_lease_that_was_seen_to_is_as_it_should_be(balance: int, left: int, most: int) -> None:
    more, less = portions.growth(balance, left, most), portions.excess(balance, left, most)
    assert not (more and less)
    balance, left = balance - more + less, left + more - less
    assert left >= 0
    assert not more or balance >= 16 * left
    assert portions.growth(balance, left, most) == portions.excess(balance, left, most) == 0


@given(st.integers(17, 10**12), st.integers(1, 10**9))
def test_who_has_credits_gets_a_lease_but_not_more_than_a_sixteenth_of_the_rest(
    balance: int, most: int
) -> None:
    amount = portions.growth(balance, 0, most)
    assert 0 < amount <= min(most, (balance - amount) // 16)
