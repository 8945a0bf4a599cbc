"""From a row of logits to a token."""

import secrets
from collections.abc import Sequence

import numpy as np

from edge.engines.llm.candidates import Floats, candidates
from edge.engines.llm.constraint import Constraint
from edge.workers.messages import Generate

GREEDY_BELOW = 1e-4
"""Temperatures below it take the likeliest token: dividing by them overflows to the same result."""


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
