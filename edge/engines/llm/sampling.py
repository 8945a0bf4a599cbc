"""From a row of logits to a token."""

import math
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.engines.llm.constraint import Constraint
from edge.workers.messages import Generate

Floats = np.ndarray[Any, np.dtype[np.float32]]

GREEDY_BELOW = 1e-4
"""Temperatures below it take the likeliest token: dividing by them overflows to the same result."""

FIRST_TRIED = 1024
"""Top-p sorts this many of the likeliest tokens, and all of them only where these do not suffice: sorting a
vocabulary of 49,152 takes 3 ms."""


class Sampler:
    """Draws the tokens of one sequence.

    The order is that of llama.cpp's default chain: bias, penalties, constraint, top-k, top-p, min-p,
    temperature, draw. As there, the constraint has its say only after a draw without it: a token that fits
    stays, though another nucleus would come of the constrained probabilities. Frequency and presence
    penalties look at the tokens that were drawn, as OpenAI's do; the repetition penalty
    (https://arxiv.org/abs/1909.05858, section 4.1) also at the prompt. A number of a PCG64 generator is used
    for each draw, two where the constraint refuses the first, so a seed gives the same tokens as long as the
    logits are the same.
    """

    def __init__(
        self, request: Generate, prompt: Sequence[int], *, vocab_size: int, constraint: Constraint | None
    ) -> None:
        self._request = request
        self._constraint = constraint
        self._greedy = request.temperature < GREEDY_BELOW
        known = [(token, bias) for token, bias in request.logit_bias if 0 <= token < vocab_size]
        self._biased = np.array([token for token, _ in known], np.int64)
        self._bias = np.array([bias for _, bias in known], np.float32)
        self._repetition = request.repetition_penalty
        self._additive = request.frequency_penalty != 0.0 or request.presence_penalty != 0.0
        self._drawn: dict[int, int] = {}
        self._seen = (
            {token for token in prompt if 0 <= token < vocab_size} if self._repetition != 1.0 else set[int]()
        )
        seed = request.seed if request.seed is not None else secrets.randbits(64)
        self._random = np.random.Generator(np.random.PCG64(seed & 0xFFFF_FFFF_FFFF_FFFF))

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is the answer unless the constraint is against it."""
        return self._greedy and not len(self._biased) and not self._additive and self._repetition == 1.0

    def draw(self, logits: Floats) -> int:
        """Return the next token; *logits*, shape (vocabulary,), is overwritten.

        Raises:
            ValueError: no token has a probability.
        """
        if len(self._biased):
            logits[self._biased] += self._bias
        self._penalise(logits)
        # A mask of the whole vocabulary costs far more than a look at one token, which mostly fits.
        token = self._pick(logits)
        if self._constraint is not None and not self._constraint.allows(token):
            self._constraint.apply(logits)
            token = self._pick(logits)
        self.take(token)
        return token

    def take(self, token: int) -> None:
        """Take note of a token that was drawn."""
        if self._additive:
            self._drawn[token] = self._drawn.get(token, 0) + 1
        if self._repetition != 1.0:
            self._seen.add(token)
        if self._constraint is not None:
            self._constraint.advance(token)

    def fits(self, token: int) -> bool:
        """Whether the constraint takes *token* next."""
        return self._constraint is None or self._constraint.allows(token)

    def _penalise(self, logits: Floats) -> None:
        if self._seen:
            tokens = np.fromiter(self._seen, np.int64, len(self._seen))
            values = logits[tokens]
            logits[tokens] = np.where(values > 0, values / self._repetition, values * self._repetition)
        if self._drawn:
            tokens = np.fromiter(self._drawn.keys(), np.int64, len(self._drawn))
            counts = np.fromiter(self._drawn.values(), np.float32, len(self._drawn))
            logits[tokens] -= counts * np.float32(self._request.frequency_penalty) + np.float32(
                self._request.presence_penalty
            )

    def _pick(self, logits: Floats) -> int:
        likeliest = int(logits.argmax())
        if not logits[likeliest] > -np.inf:  # nor is not-a-number, which argmax takes for the greatest
            raise ValueError("no token can follow: none has a probability")
        if self._greedy:
            return likeliest
        tokens, values = candidates(logits, self._request.top_k, self._request.top_p, self._request.min_p)
        weights = np.exp((values - values.max()) / np.float32(self._request.temperature), dtype=np.float64)
        sums = np.cumsum(weights)
        at = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        at = min(at, len(sums) - 1)
        return at if tokens is None else int(tokens[at])


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
