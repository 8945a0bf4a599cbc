import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.stt.blocks import BLOCK_SECONDS, SEARCH_SECONDS, cut_blocks

RATE = 100


@settings(max_examples=60, deadline=None)
@given(seconds=st.floats(0, 4 * BLOCK_SECONDS), seed=st.integers(0, 1000))
def test_blocks_follow_each_other_and_none_is_too_long(seconds: float, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)
    blocks = cut_blocks(samples, rate=RATE)
    assert blocks[0][0] == 0
    assert blocks[-1][1] == len(samples)
    assert [end for _, end in blocks[:-1]] == [start for start, _ in blocks[1:]]
    assert all(end - start <= BLOCK_SECONDS * RATE for start, end in blocks)
    assert all(end - start >= (BLOCK_SECONDS - SEARCH_SECONDS) * RATE for start, end in blocks[:-1])


def test_a_short_recording_is_one_block() -> None:
    assert cut_blocks(np.zeros(5 * RATE, np.int16), rate=RATE) == [(0, 5 * RATE)]


def test_the_cut_is_in_the_pause() -> None:
    loud = np.full(400 * RATE, 5000, np.int16)
    loud[285 * RATE : 286 * RATE] = 0
    _, end = cut_blocks(loud, rate=RATE)[0]
    assert end / RATE == pytest.approx(285.5, abs=0.5)
