import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.audio import SPEECH_RATE
from edge.engines.audio.tempo import MIN_TEMPO, change_tempo
from tests.edge.engines.audio.signals import chirp


@settings(max_examples=25, deadline=None)
@given(tempo=st.floats(MIN_TEMPO, 4.0))
def test_the_length_follows_the_tempo(tempo: float) -> None:
    sound = chirp(2.0)
    assert len(change_tempo(sound, tempo, rate=SPEECH_RATE)) == pytest.approx(len(sound) / tempo, abs=2000)


@pytest.mark.parametrize("tempo", [0.5, 1.7, 3.2])
def test_the_pitch_stays(tempo: float) -> None:
    t = np.arange(2 * SPEECH_RATE) / SPEECH_RATE
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    played = change_tempo(tone, tempo, rate=SPEECH_RATE)
    peak = int(np.argmax(np.abs(np.fft.rfft(played)))) * SPEECH_RATE / len(played)
    assert peak == pytest.approx(440, abs=5)


def test_at_normal_tempo_nothing_is_touched() -> None:
    sound = chirp(0.5)
    assert change_tempo(sound, 1.0, rate=SPEECH_RATE) is sound


def test_very_little_sound_survives() -> None:
    for length in (0, 1, 10, 500):
        assert len(change_tempo(np.ones(length, np.float32), 2.0, rate=SPEECH_RATE)) <= length
