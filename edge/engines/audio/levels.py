"""Loudness and silence of a stretch of samples."""

import numpy as np
from numpy.typing import NDArray

CEILING = 0.98
"""Highest absolute sample that leaves: a lossy codec overshoots a little."""

SILENCE = 0.01
"""Below this (-40 dBFS) a window counts as silence; Kokoro's voices idle under it."""

_WINDOW_SECONDS = 0.01
_FADE_SECONDS = 0.005


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Whether nothing in *samples* is loud enough to be heard."""
    return not len(samples) or float(np.abs(samples).max()) < SILENCE


def limit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return *samples* turned down as a whole so that none is above ``CEILING``."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples if peak <= CEILING else (samples * np.float32(CEILING / peak)).astype(np.float32)


def trim(samples: NDArray[np.float32], *, rate: int, lead: float, tail: float) -> NDArray[np.float32]:
    """Return *samples* with *lead* seconds of silence before the sound and *tail* after it.

    Silence is cut or added to make it so, and faded at the cut, so that stretches join without a click.
    A stretch without any sound comes back empty.
    """
    window = round(rate * _WINDOW_SECONDS)
    if is_silent(samples):
        return samples[:0]
    loud = np.flatnonzero(np.abs(samples) >= SILENCE)
    first = int(loud[0]) // window * window
    last = min(len(samples), (int(loud[-1]) // window + 1) * window)
    before, after = round(lead * rate), round(tail * rate)
    kept = samples[max(0, first - before) : last + after].copy()
    fade = min(round(rate * _FADE_SECONDS), len(kept) // 2)
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    kept[:fade] *= ramp
    kept[len(kept) - fade :] *= ramp[::-1]
    return np.pad(kept, (max(0, before - first), max(0, last + after - len(samples))))
