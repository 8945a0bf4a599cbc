"""Whether a model computes the same for a sequence alone and beside others.

Some kernels take rows in groups of four and what is left one by one, and round the two otherwise: ggml's
repacked Q4_K on x86 moves logits by 0.5. A choice between two close tokens then depends on who else is being
served, even when greedy or with a seed.
"""

from typing import Any

import llama_cpp as c
import numpy as np

from edge.engines.llama import Batch, Context, Model
from edge.engines.llm.options import cache_types

PROMPTS = (21, 31)
"""Tokens. In a batch, groups of four then start and end in the midst of a prompt."""

CROWDS = (2, 5, 8)
"""Sequences in a step: less than a group, a group and a rest, whole groups."""

STEPS = 2

Logits = np.ndarray[Any, np.dtype[np.float32]]


def wobble(model: Model, *, threads: int) -> float:
    """Return by how much the logits of a sequence move at most when others are computed with it."""
    params = c.llama_context_default_params()
    params.n_seq_max = max(CROWDS)
    params.n_ctx = params.n_batch = params.n_ubatch = 2 * max(PROMPTS) * max(CROWDS)
    params.n_threads = params.n_threads_batch = threads
    # As language models are served: another cache could move the logits by itself.
    params.type_k, params.type_v = cache_types(model)
    params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.kv_unified = False
    context = Context(model, params)
    try:
        return max(
            float(np.abs(_logits(context, prompt, sequences) - alone).max())
            for prompt in PROMPTS
            for alone in [_logits(context, prompt, 1)]
            for sequences in CROWDS
        )
    finally:
        context.close()


def _logits(context: Context, prompt: int, sequences: int) -> Logits:
    """Return the first sequence's logits after its prompt and every step, shape (steps + 1, vocabulary)."""
    context.clear()
    batch = Batch(prompt * sequences)
    found = []
    for position, count in [(0, prompt), *((prompt + step, 1) for step in range(STEPS))]:
        batch.clear()
        for sequence in range(sequences):
            ids = range(100 + 31 * sequence + 7919 * position, 2**31, 7919)[:count]
            tokens = [token % context.model.vocab_size for token in ids]
            batch.add(tokens, position=position, sequence=sequence, output="last")
        context.decode(batch.native)
        found.append(context.logits(sequences)[0].copy())
    return np.stack(found)
