"""Long recordings in blocks, so that memory and the wait for the first words stay bounded."""

import numpy as np
from numpy.typing import NDArray

BLOCK_SECONDS = 300
"""Longest block. The features of a whole hour at once take 3 GB and 15 s before the first segment."""

SEARCH_SECONDS = 30
"""How far from a block's end the quietest place is looked for."""

WINDOW_SECONDS = 0.3


def cut_blocks(samples: NDArray[np.int16], *, rate: int) -> list[tuple[int, int]]:
    """Return the start and end of each block of *samples*, cut where it is quietest near the limit.

    The blocks follow each other without a gap and none is longer than ``BLOCK_SECONDS``.
    """
    blocks = []
    start = 0
    while len(samples) - start > BLOCK_SECONDS * rate:
        limit = start + BLOCK_SECONDS * rate
        search = limit - SEARCH_SECONDS * rate
        end = search + _quietest(samples[search:limit], round(WINDOW_SECONDS * rate))
        blocks.append((start, end))
        start = end
    blocks.append((start, len(samples)))
    return blocks


def _quietest(samples: NDArray[np.int16], window: int) -> int:
    """Return the middle of the *window* samples with the least energy."""
    count = len(samples) // window
    frames = samples[: count * window].reshape(count, window).astype(np.float32)
    return int(np.argmin((frames**2).sum(axis=1))) * window + window // 2
