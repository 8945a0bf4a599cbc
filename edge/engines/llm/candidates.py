"""The likeliest tokens of a row of logits, and how likely they are."""

import math
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]

FIRST_TRIED = 1024
"""Top-p sorts this many of the likeliest tokens, and all of them only where these do not suffice: sorting a
vocabulary of 49,152 takes 3 ms."""


def candidates(
    logits: Floats, top_k: int, top_p: float, min_p: float
) -> tuple[np.ndarray[Any, np.dtype[np.int64]] | None, Floats]:
    """Return the tokens that may be drawn and their logits; None stands for all of them in order.

    *top_k* of 0, *top_p* of 1 and *min_p* of 0 are off. At least one token is left.
    """
    tokens = None
    values = logits
    if 0 < top_k < len(logits):
        tokens = _likeliest(logits, top_k)
        values = logits[tokens]
    if top_p < 1.0:
        weights = np.exp(values - values.max(), dtype=np.float64)
        chosen = _nucleus(weights, top_p * weights.sum())
        tokens = chosen if tokens is None else tokens[chosen]
        values = logits[tokens]
    if min_p > 0.0:
        chosen = np.flatnonzero(values >= values.max() + math.log(min_p))
        tokens = chosen if tokens is None else tokens[chosen]
        values = logits[tokens]
    return tokens, values


def _likeliest(values: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the indices of the *count* greatest *values*, greatest first, equal ones in order."""
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    least = np.partition(values, len(values) - count)[len(values) - count]
    above = np.flatnonzero(values > least)
    equal = np.flatnonzero(values == least)[: count - len(above)]
    chosen = np.concatenate([above, equal])
    return chosen[np.argsort(-values[chosen], kind="stable")]


def _nucleus(weights: np.ndarray[Any, np.dtype[np.float64]], mass: float) -> np.ndarray[Any, Any]:
    """Return the fewest indices whose weights reach *mass*, greatest first."""
    count = min(FIRST_TRIED, len(weights))
    while True:
        order = _likeliest(weights, count)
        sums = np.cumsum(weights[order])
        if sums[-1] >= mass or count == len(weights):
            return order[: max(1, int(np.searchsorted(sums, mass)) + 1)]
        count = len(weights)


def log_probabilities(logits: Floats, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
    """Return the natural logarithm of *token*'s probability, and the *top* likeliest tokens with theirs.

    They are those of the model itself: no bias, penalty or temperature is in them.
    """
    highest = logits.max()
    total = highest + np.log(np.exp(logits - highest).sum(dtype=np.float64))
    best = _likeliest(logits, top) if top else np.zeros(0, np.int64)
    return float(logits[token] - total), [(int(other), float(logits[other] - total)) for other in best]
