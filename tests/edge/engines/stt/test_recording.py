from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.engines.audio.decoder import HEARING_RATE
from edge.engines.stt import blocks, recording
from edge.engines.stt.recording import Recording


@pytest.fixture(autouse=True, scope="module")
def _short_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_SECONDS", 3)
        patch.setattr(blocks, "SEARCH_SECONDS", 1)
        patch.setattr(recording, "MEMORY_BYTES", 100_000)
        yield


def filled(samples: NDArray[np.int16], piece: int) -> Recording:
    made = Recording()
    for start in range(0, len(samples), piece):
        made.append(samples[start : start + piece])
    return made


@settings(max_examples=30, deadline=None)
@given(seconds=st.floats(0, 12), piece=st.integers(500, 50_000), seed=st.integers(0, 1000))
def test_blocks_follow_each_other_and_none_is_too_long(seconds: float, piece: int, seed: int) -> None:
    samples = (
        np.random.default_rng(seed).integers(-9000, 9000, round(seconds * HEARING_RATE)).astype(np.int16)
    )
    with filled(samples, piece) as made:
        found = list(made.blocks())
        assert made.seconds == pytest.approx(seconds, abs=1e-4)
    position = 0
    for start, block in found:
        assert start == position
        assert len(block) <= 3 * HEARING_RATE
        position += len(block)
    joined = np.concatenate([block for _, block in found]) if found else np.zeros(0, np.int16)
    assert np.array_equal(joined, samples)


def test_a_recording_without_samples_has_no_block() -> None:
    with Recording() as made:
        assert (made.seconds, list(made.blocks())) == (0.0, [])
