"""Rows of logits: small ones with ties among them, and such as models give."""

import numpy as np
from hypothesis import strategies as st

from edge.engines.llm.candidates import Floats

VOCABULARY = 49_152

rows = st.lists(st.integers(-24, 24), min_size=1, max_size=12).map(
    lambda values: np.array([value / 4 for value in values], np.float32)
)


def normal(size: int, *, spread: float = 2.0, seed: int = 1) -> Floats:
    """Return normally distributed logits."""
    return np.random.default_rng(seed).normal(0, spread, size).astype(np.float32)
