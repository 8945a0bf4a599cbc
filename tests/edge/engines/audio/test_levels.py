import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.audio import SPEECH_RATE
from edge.engines.audio.levels import CEILING, is_silent, limit, trim
from tests.edge.engines.audio.signals import chirp


@given(gain=st.floats(0.0, 50.0))
def test_nothing_leaves_above_the_ceiling(gain: float) -> None:
    sound = chirp(0.2) * np.float32(gain)
    limited = limit(sound)
    assert np.abs(limited).max() <= CEILING + 1e-6
    if np.abs(sound).max() <= CEILING:
        assert limited is sound


def test_limiting_keeps_the_shape() -> None:
    sound = chirp(0.2) * np.float32(3)
    assert np.corrcoef(sound, limit(sound))[0, 1] == pytest.approx(1.0)


@given(
    before=st.floats(0.0, 1.0), after=st.floats(0.0, 1.0), lead=st.floats(0.0, 0.5), tail=st.floats(0.0, 1.0)
)
def test_the_silence_around_a_sound_is_what_was_asked_for(
    before: float, after: float, lead: float, tail: float
) -> None:
    sound = np.full(SPEECH_RATE // 2, 0.5, np.float32)
    padded = np.pad(sound, (round(before * SPEECH_RATE), round(after * SPEECH_RATE)))
    trimmed = trim(padded, rate=SPEECH_RATE, lead=lead, tail=tail)
    loud = np.flatnonzero(np.abs(trimmed) > 0.1)
    assert loud[0] / SPEECH_RATE == pytest.approx(lead, abs=0.025)
    assert (len(trimmed) - loud[-1]) / SPEECH_RATE == pytest.approx(tail, abs=0.025)
    assert loud[-1] - loud[0] == pytest.approx(len(sound), abs=0.02 * SPEECH_RATE)


def test_a_cut_makes_no_click() -> None:
    hum = np.full(SPEECH_RATE, 0.009, np.float32)
    hum[10_000:14_000] = 0.5
    trimmed = trim(hum, rate=SPEECH_RATE, lead=0.05, tail=0.05)
    assert trimmed[0] == 0
    assert trimmed[-1] == 0


def test_silence_is_trimmed_to_nothing() -> None:
    assert is_silent(np.full(1000, 0.001, np.float32))
    assert not is_silent(chirp(0.1))
    assert len(trim(np.zeros(5000, np.float32), rate=SPEECH_RATE, lead=0.1, tail=0.1)) == 0
    assert len(trim(np.zeros(0, np.float32), rate=SPEECH_RATE, lead=0.1, tail=0.1)) == 0
