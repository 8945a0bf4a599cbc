import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.llm.prompts import Prompts, poisson_arrivals

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"] + [f"w{n}" for n in range(500)]


def uneven(text: str) -> int:
    """Count a token a word, two for words with an i, and one that begins every prompt."""
    return 1 + sum(2 if "i" in word else 1 for word in text.split())


@given(tokens=st.integers(4, 300), seed=st.integers(0, 9))
def test_a_text_has_exactly_the_tokens_asked_for(tokens: int, seed: int) -> None:
    assert uneven(Prompts(WORDS, uneven, seed).text(tokens, "key", 1)) == tokens


def test_the_same_key_gives_the_same_text_and_another_another() -> None:
    prompts = Prompts(WORDS, uneven, 1)
    assert prompts.text(64, "a", 1) == Prompts(WORDS, uneven, 1).text(64, "a", 1)
    texts = [prompts.text(64, "a", 1), prompts.text(64, "a", 2), Prompts(WORDS, uneven, 2).text(64, "a", 1)]
    for one, other in itertools.combinations(texts, 2):
        assert one.split()[:4] != other.split()[:4]


def test_a_length_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(ValueError, match="no text of 5 tokens"):
        Prompts(WORDS, lambda text: 2 * len(text.split()), 1).text(5, "a")


def arrivals(seed: int, key: int, count: int = 30) -> list[tuple[float, int, int]]:
    found = poisson_arrivals(
        seed, key, count=count, per_second=2.0, prompt_tokens=(32, 900), new_tokens=(64, 128)
    )
    return [(arrival.at, arrival.prompt_tokens, arrival.new_tokens) for arrival in found]


def test_arrivals_are_the_same_for_every_server_and_new_in_each_round() -> None:
    assert arrivals(1, 0) == arrivals(1, 0)
    assert arrivals(1, 0) != arrivals(1, 1)
    assert arrivals(1, 0) != arrivals(2, 0)


def test_arrivals_come_at_their_rate_and_within_their_bounds() -> None:
    found = arrivals(1, 0, count=4000)
    times = [at for at, _, _ in found]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert times[0] == 0.0
    assert statistics.mean(gaps) == pytest.approx(0.5, rel=0.1)
    assert statistics.stdev(gaps) == pytest.approx(0.5, rel=0.15)
    assert {min(p for _, p, _ in found), max(p for _, p, _ in found)} <= set(range(32, 901))
    assert {n for _, _, n in found} == set(range(64, 129))
