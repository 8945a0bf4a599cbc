"""A request's sampling parameters as a llama.cpp sampler chain."""

import secrets

import llama_cpp as c

from edge.workers.messages import Generate

GREEDY_BELOW = 1e-4
"""Temperatures below it take the likeliest token: dividing by them overflows to the same result."""


class Sampler:
    """A chain built for one request. Free it with :meth:`close`.

    Order as in llama.cpp's own default chain: penalties, top-k, top-p, min-p, temperature, draw.
    The penalties look at the tokens made so far, not at the prompt.
    """

    def __init__(self, request: Generate, *, vocab_size: int, context_tokens: int) -> None:
        self._chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        penalties = (request.repetition_penalty, request.frequency_penalty, request.presence_penalty)
        if penalties != (1.0, 0.0, 0.0):
            self._add(c.llama_sampler_init_penalties(vocab_size, context_tokens, *penalties))
        if request.temperature < GREEDY_BELOW:
            self._add(c.llama_sampler_init_greedy())
            return
        if request.top_k > 0:
            self._add(c.llama_sampler_init_top_k(request.top_k))
        if request.top_p < 1.0:
            self._add(c.llama_sampler_init_top_p(request.top_p, 1))
        if request.min_p > 0.0:
            self._add(c.llama_sampler_init_min_p(request.min_p, 1))
        self._add(c.llama_sampler_init_temp(request.temperature))
        seed = request.seed if request.seed is not None else secrets.randbits(32)
        self._add(c.llama_sampler_init_dist(seed & 0xFFFFFFFF))

    def _add(self, sampler: "c.llama_sampler_p") -> None:
        c.llama_sampler_chain_add(self._chain, sampler)

    def sample(self, context: "c.llama_context_p") -> int:
        """Draw the next token from the last logits of *context*, and remember it for the penalties."""
        token: int = c.llama_sampler_sample(self._chain, context, -1)
        return token

    def close(self) -> None:
        c.llama_sampler_free(self._chain)
