import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.audio import SPEECH_RATE
from edge.engines.base import InvalidRequest
from edge.engines.tts.engine import SpeechEngine
from edge.engines.tts.hibari import load
from edge.workers.messages import Audio, Speak, Spoken
from tests.e2e.audio import word_error_rate
from tests.edge.engines.audio.files import encoded
from tests.edge.engines.hearing import Listener
from tests.edge.engines.running import JobEnd, run
from tests.edge.engines.tts.test_kokoro import SENTENCES, seconds, speak
from tests.models import pulled


@pytest.fixture(scope="session")
def hibari() -> SpeechEngine:
    model, files = pulled("hibari")
    return load(files, dict(model.options) | {"threads": 1})


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.5])
def test_what_it_says_is_understood(hibari: SpeechEngine, listener: Listener, speed: float) -> None:
    heard = listener.hear(speak(hibari, Speak(SENTENCES, "heart", "wav", speed)))
    assert word_error_rate(SENTENCES, heard.text) <= 0.05


def test_speeds_are_kept(hibari: SpeechEngine) -> None:
    at_one = seconds(speak(hibari, Speak(SENTENCES, "heart", "wav")))
    for speed in (0.25, 0.7, 2.0, 4.0):
        taken = seconds(speak(hibari, Speak(SENTENCES, "heart", "wav", speed)))
        assert taken == pytest.approx(at_one / speed, rel=0.12)


def test_its_voice_answers_to_openais_names(hibari: SpeechEngine) -> None:
    [voice] = hibari.info["voices"]
    assert voice["id"] == "heart"
    assert set(voice["aliases"]) >= {"alloy", "echo", "fable", "onyx", "nova", "shimmer"}
    with pytest.raises(InvalidRequest, match="heart"):
        run(hibari, Speak("Hello.", "bella"))


def test_equal_requests_sound_equal(hibari: SpeechEngine) -> None:
    request = Speak(SENTENCES, "heart", "flac")
    assert speak(hibari, request) == speak(hibari, request)


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(max_size=60)
    | st.text("aeiTHX019.,!?-'$%&@#/()\n \u200b\ufe0f🙂你éй", max_size=60)
    | st.lists(st.sampled_from(["Dr.", "$5", "3.5", "No. 7", "e.g.", "🙂", "...", "WHO", "x²", "—"])).map(
        " ".join
    ),
    speed=st.sampled_from([0.25, 1.0, 4.0]),
)
def test_any_text_gives_sound_or_is_refused(hibari: SpeechEngine, text: str, speed: float) -> None:
    end = JobEnd(hibari, Speak(text, "heart", "pcm", speed))
    with contextlib.suppress(InvalidRequest):
        end.wait()
    if isinstance(end.error, InvalidRequest):
        assert end.error.param == "input"
        return
    *events, spoken = end.events
    samples = np.frombuffer(b"".join(event.data for event in events if isinstance(event, Audio)), "<i2")
    assert np.abs(samples.astype(int)).max() > 300
    assert isinstance(spoken, Spoken)
    assert 0 < spoken.characters <= len(text)
    assert spoken.seconds == pytest.approx(len(samples) / SPEECH_RATE)


def test_four_thousand_characters_are_spoken_to_the_end(hibari: SpeechEngine, listener: Listener) -> None:
    sentences = (f"This is sentence number {number} of a very long text." for number in range(100, 190))
    text = f"{' '.join(sentences)} This is the very last sentence."
    assert len(text) > 4000
    samples = np.frombuffer(speak(hibari, Speak(text, "heart")), "<i2").astype(np.float32) / np.float32(32768)
    assert 200 < len(samples) / SPEECH_RATE < 400
    assert "sentence number 100" in listener.hear(encoded("wav", samples[: 8 * SPEECH_RATE])).text
    end = listener.hear(encoded("wav", samples[-8 * SPEECH_RATE :])).text
    assert "sentence number 189" in end
    assert end.endswith("This is the very last sentence.")
