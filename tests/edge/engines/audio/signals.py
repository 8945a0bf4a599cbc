"""Sounds to encode, and how alike two sounds are."""

import numpy as np
from numpy.typing import NDArray

from edge.engines.audio import SPEECH_RATE


def chirp(seconds: float, *, rate: int = SPEECH_RATE) -> NDArray[np.float32]:
    """A tone that rises and swells, so that no stretch of it looks like another; speech begins as softly."""
    t = np.arange(round(seconds * rate)) / rate
    swell = 0.5 + 0.4 * np.sin(2 * np.pi * 1.3 * t)
    swell *= np.minimum(1.0, t / 0.05)
    return (0.5 * swell * np.sin(2 * np.pi * (150 * t + 120 * t**2))).astype(np.float32)


def best_correlation(one: NDArray[np.float32], other: NDArray[np.float32], *, max_lag: int) -> float:
    """Correlation of the two where they fit best, *other* starting up to *max_lag* samples later."""
    length = min(len(one), len(other) - max_lag)
    return max(float(np.corrcoef(one[:length], other[lag : lag + length])[0, 1]) for lag in range(max_lag))
