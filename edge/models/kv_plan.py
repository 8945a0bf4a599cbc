"""How large a language model's KV cache is, and how many sequences share it."""

from dataclasses import dataclass
from typing import Literal

MAX_SLOTS = 16
"""Sequences at once, where the settings do not say: more of them hardly raise the tokens/s of a CPU."""

MIN_SLOTS = 4
"""With room for fewer caches of a whole context, one cache for all serves more callers."""

MEMORY_SHARE = 10
"""The cache of one model takes at most one part in this many of the machine's memory. A grid of two edges,
each with its other models, then fits a laptop."""

SHARED_CONTEXTS = 4
"""Whole contexts that a shared cache holds at most."""

Kind = Literal["auto", "separate", "shared"]


@dataclass(frozen=True, slots=True)
class KvPlan:
    """``slots`` sequences at once: each with a whole context of its own, or ``unified`` in ``kv_tokens``."""

    slots: int
    unified: bool
    kv_tokens: int


def kv_plan(*, context_tokens: int, token_bytes: float, memory_bytes: int, slots: int, kind: Kind) -> KvPlan:
    """Return the cache of a model whose tokens take *token_bytes* each, on a machine of *memory_bytes*.

    *slots* of 0 stands for as many as fit, up to :data:`MAX_SLOTS`. What *slots* and *kind* ask for is done
    even where it takes more than the model's share of the memory.
    """
    affordable = int(memory_bytes / MEMORY_SHARE / token_bytes)
    fitting = min(MAX_SLOTS, affordable // context_tokens)
    if kind == "separate" or (kind == "auto" and fitting >= min(slots or MIN_SLOTS, MIN_SLOTS)):
        slots = slots or max(1, fitting)
        return KvPlan(slots, unified=False, kv_tokens=slots * context_tokens)
    tokens = max(context_tokens, min(SHARED_CONTEXTS * context_tokens, affordable))
    return KvPlan(slots or MAX_SLOTS, unified=True, kv_tokens=tokens)
