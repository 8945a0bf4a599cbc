from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.llm.candidates import FIRST_TRIED, Floats, candidates, log_probabilities
from tests.edge.engines.llm.rows import VOCABULARY, normal, rows


def slow_candidates(logits: Floats, top_k: int, top_p: float, min_p: float) -> set[int]:
    order = np.argsort(-logits, kind="stable")[: top_k or None]
    weights = np.exp(logits[order].astype(np.float64) - float(logits.max()))
    if top_p < 1:
        before = np.cumsum(weights) - weights
        order = order[(before < top_p * weights.sum()) | (np.arange(len(order)) == 0)]
    best = float(logits[order[0]])
    return {int(t) for t in order if not min_p or float(logits[t]) - best >= np.log(min_p)}


@pytest.mark.parametrize("spread", [0.01, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [0, 1, 40, 2000, VOCABULARY, VOCABULARY + 1])
@pytest.mark.parametrize(("top_p", "min_p"), [(1.0, 0.0), (0.9, 0.0), (1.0, 0.05), (0.95, 0.001), (0.0, 1.0)])
def test_candidates_of_a_whole_vocabulary(spread: float, top_k: int, top_p: float, min_p: float) -> None:
    logits = normal(VOCABULARY, spread=spread)
    tokens, values = candidates(logits, top_k, top_p, min_p)
    if tokens is None:
        assert values is logits
        tokens = np.arange(VOCABULARY)
    assert np.array_equal(values, logits[tokens])
    assert len(set(tokens.tolist())) == len(tokens)
    assert set(tokens.tolist()) == slow_candidates(logits, top_k, top_p, min_p)


def test_a_nucleus_may_be_larger_than_what_is_tried_first() -> None:
    logits = normal(VOCABULARY, spread=0.5)
    tokens, _ = candidates(logits, 0, 0.9, 0.0)
    assert tokens is not None
    assert len(tokens) > 10 * FIRST_TRIED
    assert set(tokens.tolist()) == slow_candidates(logits, 0, 0.9, 0.0)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([0.1, 0.5, 0.999]))
def test_of_equal_tokens_the_first_are_kept(size: int, top_k: int, top_p: float) -> None:
    logits = np.zeros(size, np.float32)
    tokens, _ = candidates(logits, top_k, 1.0, 0.0)
    assert tokens is None or tokens.tolist() == list(range(min(size, top_k)))
    tokens, _ = candidates(logits, 0, top_p, 0.0)
    assert tokens is not None
    assert tokens.tolist() == list(range(int(np.ceil(top_p * size))))


def slow_log_softmax(logits: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
    exact = logits.astype(np.float64)
    logarithms: np.ndarray[Any, np.dtype[np.float64]] = exact - exact.max()
    logarithms -= np.log(np.exp(logarithms).sum())
    return logarithms


@given(rows, st.integers(0, 11), st.integers(0, 14))
def test_log_probabilities_are_those_of_the_softmax(logits: Floats, token: int, top: int) -> None:
    token = min(token, len(logits) - 1)
    expected = slow_log_softmax(logits)
    own, best = log_probabilities(logits, token, top)
    assert own == pytest.approx(expected[token], abs=1e-6)
    assert [other for other, _ in best] == sorted(range(len(logits)), key=lambda t: -logits[t])[:top]
    assert [value for _, value in best] == pytest.approx([expected[other] for other, _ in best], abs=1e-6)


@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
def test_log_probabilities_of_a_whole_vocabulary(spread: float) -> None:
    logits = normal(VOCABULARY, spread=spread)
    expected = slow_log_softmax(logits)
    own, best = log_probabilities(logits, 17, 20)
    assert own == pytest.approx(expected[17], abs=1e-5)
    assert [other for other, _ in best] == np.argsort(-logits, kind="stable")[:20].tolist()
    assert [value for _, value in best] == pytest.approx(
        list(expected[[other for other, _ in best]]), abs=1e-5
    )
    everything = log_probabilities(logits, 0, VOCABULARY)[1]
    assert sum(np.exp(value) for _, value in everything) == pytest.approx(1.0, abs=1e-4)


def test_a_token_that_cannot_come_has_a_log_probability_of_minus_infinity() -> None:
    logits = np.array([0.0, -np.inf, 0.0], np.float32)
    own, best = log_probabilities(logits, 1, 3)
    assert own == -np.inf
    assert best == [(0, pytest.approx(np.log(0.5))), (2, pytest.approx(np.log(0.5))), (1, -np.inf)]
