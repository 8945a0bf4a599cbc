"""Long recordings in blocks, so that memory and the wait for the first words stay bounded."""

import numpy as np
from numpy.typing import NDArray

BLOCK_SECONDS = 300
"""Longest block. The features of a whole hour at once take 3 GB and 15 s before the first segment."""

SEARCH_SECONDS = 30
"""How far from a block's end the quietest place is looked for."""

WINDOW_SECONDS = 0.3


def block_end(samples: NDArray[np.int16], *, rate: int) -> int:
    """Return where the block that begins with *samples* ends: where it is quietest near the limit.

    *samples* are all that is left of the recording, or more of it than ``BLOCK_SECONDS``.
    """
    limit = BLOCK_SECONDS * rate
    if len(samples) <= limit:
        return len(samples)
    search = limit - SEARCH_SECONDS * rate
    return search + _quietest(samples[search:limit], round(WINDOW_SECONDS * rate))


def _quietest(samples: NDArray[np.int16], window: int) -> int:
    """Return the middle of the *window* samples with the least energy."""
    count = len(samples) // window
    frames = samples[: count * window].reshape(count, window).astype(np.float32)
    return int(np.argmin((frames**2).sum(axis=1))) * window + window // 2
