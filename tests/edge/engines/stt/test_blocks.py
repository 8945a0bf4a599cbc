import numpy as np
import pytest

from edge.engines.stt.blocks import BLOCK_SECONDS, SEARCH_SECONDS, block_end

RATE = 100


def test_what_is_left_is_the_last_block() -> None:
    for seconds in (0, 5, BLOCK_SECONDS):
        assert block_end(np.zeros(seconds * RATE, np.int16), rate=RATE) == seconds * RATE


def test_the_cut_is_in_the_pause() -> None:
    loud = np.full(400 * RATE, 5000, np.int16)
    loud[285 * RATE : 286 * RATE] = 0
    assert block_end(loud, rate=RATE) / RATE == pytest.approx(285.5, abs=0.5)


def test_a_block_without_a_pause_ends_near_the_limit() -> None:
    end = block_end(np.full(BLOCK_SECONDS * RATE + 1, 5000, np.int16), rate=RATE)
    assert (BLOCK_SECONDS - SEARCH_SECONDS) * RATE <= end <= BLOCK_SECONDS * RATE
