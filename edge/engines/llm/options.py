"""How a language model is served: how many sequences at once, in how large a KV cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import llama_cpp as c

from edge.engines.llama import Model

KV_TYPES = (int(c.GGML_TYPE_Q8_0), int(c.GGML_TYPE_F16))
"""How keys and how values are kept. Where both are of one 16-bit type, ggml attends in other ways, with other
rounding, for 1, up to 63 and more tokens at once (``ggml_compute_forward_flash_attn_ext_f16``), which moved
logits by up to 0.8. Over keys and values of two types it goes token by token, so that an answer is the same,
bit for bit, alone and in any batch, from a cached beginning or a computed one. Values of 8 bits would have to
be widened for every head that reads them, which makes steps of many streams slower."""

KEY_BLOCK = 32
"""Numbers that share a scale in 8-bit keys. llama.cpp makes none where it does not divide the heads."""

GGML_TYPE_BF16 = 30
"""The bindings do not name it."""

WIDE_KV_TYPES = (int(c.GGML_TYPE_F16), GGML_TYPE_BF16)
"""The same for other heads: of two types again."""

MAX_SEQUENCES = 256
"""``LLAMA_MAX_SEQ``: llama.cpp makes no context for more."""

OUTPUT_ROWS = 64
"""Rows of logits per step, over what the running sequences need, for prompts that are scored as a whole."""


@dataclass(frozen=True, slots=True)
class LlmOptions:
    """``context_tokens`` bounds a prompt and its answer together, ``kv_tokens`` all that lies in the cache.

    ``slots`` sequences run at once. Each has a KV cache of its own for a whole context, or with ``unified``
    all share one of ``kv_tokens``: that takes less memory, but where a token lies in it depends on the
    others, and with that the rounding of sums over them. ``kv_types`` are :data:`KV_TYPES`, or
    :data:`WIDE_KV_TYPES` for models whose heads are no multiple of 32.
    """

    context_tokens: int
    kv_tokens: int
    slots: int
    threads: int
    unified: bool
    step_seconds: float
    kv_types: tuple[int, int] = KV_TYPES

    @classmethod
    def of(cls, model: Model, options: Mapping[str, Any]) -> Self:
        """Return the options for *model*; what is not given has its default.

        With ``unified``, ``kv_tokens`` of 0 stands for two contexts.

        Raises:
            ValueError: llama.cpp cannot serve so many slots.
        """
        context = min(options["context_tokens"], model.train_context)
        slots = options.get("slots", 16)
        if not 1 <= slots <= MAX_SEQUENCES:
            raise ValueError(f"slots must be from 1 to {MAX_SEQUENCES}, not {slots}")
        unified = options.get("unified", False)
        kv_tokens = options.get("kv_tokens", 0) or 2 * context
        return cls(
            context_tokens=min(context, kv_tokens) if unified else context,
            kv_tokens=kv_tokens if unified else slots * context,
            slots=slots,
            threads=options["threads"],
            unified=unified,
            step_seconds=options.get("step_ms", 200) / 1000,
            kv_types=cache_types(model),
        )

    @property
    def sequences(self) -> int:
        """How many sequence ids there are: in a unified cache ended ones keep theirs for reuse."""
        return min(2 * self.slots, MAX_SEQUENCES) if self.unified else self.slots

    @property
    def outputs(self) -> int:
        return self.slots + OUTPUT_ROWS

    @property
    def prefix_tokens(self) -> int:
        """What the prefix cache may hold: idle cells of a unified cache slow every step a little."""
        return self.kv_tokens // 2 if self.unified else self.kv_tokens

    def params(self) -> c.llama_context_params:
        params: c.llama_context_params = c.llama_context_default_params()
        params.n_ctx = self.kv_tokens
        params.n_batch = params.n_ubatch = 512 + self.slots
        params.n_seq_max = self.sequences
        params.n_outputs_max = self.outputs
        params.n_threads = params.n_threads_batch = self.threads
        params.kv_unified = self.unified
        params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.type_k, params.type_v = self.kv_types
        return params


def cache_types(model: Model) -> tuple[int, int]:
    """Return how the keys and how the values of *model* are kept."""
    return KV_TYPES if all(size % KEY_BLOCK == 0 for size in key_sizes(model)) else WIDE_KV_TYPES


def key_sizes(model: Model) -> list[int]:
    """Return how many numbers the keys of *model*'s heads have, as llama.cpp works them out."""
    usual = model.embedding_size // model.heads if model.heads else 0
    architecture = model.metadata("general.architecture")
    own = model.metadata(f"{architecture}.attention.key_length")
    # Layers with a sliding window are like the others unless the file says something else.
    sliding = model.metadata(f"{architecture}.attention.key_length_swa")
    return [int(own or usual), *([int(sliding)] if sliding else [])]
