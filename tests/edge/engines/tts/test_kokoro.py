import io
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from edge.engines.base import Cancelled
from edge.engines.tts.engine import SpeechEngine
from edge.engines.tts.kokoro import ALIASES, load
from edge.workers.messages import Audio, Speak
from tests.e2e.audio import word_error_rate
from tests.edge.engines.hearing import Listener
from tests.edge.engines.running import JobEnd, run
from tests.models import pulled

SENTENCES = "She opened the window and listened to the rain. The train leaves early in the morning."
POLARGRID_VOICES = [
    *("af_bella", "af_sarah", "am_adam", "am_michael"),
    *("bf_emma", "bf_isabella", "bm_george", "bm_lewis"),
]

ENGLISH_VOICES = [
    *("af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova"),
    *("af_river", "af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam"),
    *("am_michael", "am_onyx", "am_puck", "am_santa", "bf_alice", "bf_emma", "bf_isabella", "bf_lily"),
    *("bm_daniel", "bm_fable", "bm_george", "bm_lewis"),
]


@pytest.fixture(scope="session")
def kokoro() -> SpeechEngine:
    model, files = pulled("kokoro-82m")
    return load(files, dict(model.options) | {"threads": 2})


def speak(engine: SpeechEngine, request: Speak) -> bytes:
    return b"".join(event.data for event in run(engine, request) if isinstance(event, Audio))


def seconds(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as file:
        return float(file.getnframes() / file.getframerate())


def test_every_voice_is_there_with_the_names_that_clients_know(kokoro: SpeechEngine) -> None:
    voices = {voice["id"]: voice for voice in kokoro.info["voices"]}
    assert len(voices) == 54
    assert set(POLARGRID_VOICES) <= set(voices)
    assert {alias for voice in voices.values() for alias in voice["aliases"]} == set(ALIASES)
    assert voices["bm_george"]["accent"] == "British"
    assert voices["bm_george"]["gender"] == "male"


@pytest.mark.parametrize("voice", ENGLISH_VOICES)
def test_what_an_english_voice_says_is_understood(
    kokoro: SpeechEngine, listener: Listener, voice: str
) -> None:
    sentence = "She opened the window and listened to the rain."
    heard = listener.hear(speak(kokoro, Speak(sentence, voice, "wav")))
    assert word_error_rate(sentence, heard.text) < 0.12  # less than two words of nine
    assert 1.8 < heard.end.duration < 4.5


def test_every_other_voice_has_a_sound(kokoro: SpeechEngine) -> None:
    others = {voice["id"] for voice in kokoro.info["voices"]} - set(ENGLISH_VOICES)
    assert len(others) == 26
    for voice in others:
        samples = np.frombuffer(speak(kokoro, Speak("Good morning.", voice)), "<i2")
        assert 0.5 < len(samples) / 24_000 < 3, voice
        assert np.abs(samples.astype(int)).max() > 3_000, voice


def test_a_stream_is_the_same_sound_without_a_gap(kokoro: SpeechEngine) -> None:
    request = Speak(SENTENCES, "af_bella", "pcm", stream=True)
    pieces = [event.data for event in run(kokoro, request) if isinstance(event, Audio) and event.data]
    assert len(pieces) == 2
    assert b"".join(pieces) == speak(kokoro, Speak(SENTENCES, "af_bella", "pcm"))
    for piece in pieces:  # faded in and out, so that nothing clicks where they meet
        samples = np.frombuffer(piece, "<i2")
        assert abs(int(samples[0])) <= 1
        assert abs(int(samples[-1])) <= 1


def test_a_blend_lies_between_its_parts(kokoro: SpeechEngine, listener: Listener) -> None:
    sentence = "She opened the window and listened to the rain."
    bella, adam, blend = (
        speak(kokoro, Speak(sentence, voice, "wav"))
        for voice in ("af_bella", "am_adam", "af_bella(2)+am_adam(1)")
    )
    assert word_error_rate(sentence, listener.hear(blend).text) < 0.12
    assert pitch(adam) < pitch(blend) < pitch(bella)


def test_a_blend_of_one_voice_is_that_voice(kokoro: SpeechEngine) -> None:
    alone = speak(kokoro, Speak("Hello there, friend.", "af_bella"))
    assert speak(kokoro, Speak("Hello there, friend.", "af_bella(7)")) == alone
    assert speak(kokoro, Speak("Hello there, friend.", "af_bella(0.5)+coral(2)")) == alone


def pitch(wav: bytes) -> float:
    """Return the median pitch in Hz of what is voiced in a file of 24,000 samples per second."""
    samples = np.frombuffer(wav[44:], "<i2").astype(np.float64)
    found = []
    for start in range(0, len(samples) - 1200, 600):
        frame = samples[start : start + 1200] - samples[start : start + 1200].mean()
        correlation = np.correlate(frame, frame, "full")[1199:]
        lag = 60 + int(np.argmax(correlation[60:400]))  # 60 to 400 Hz
        if correlation[0] > 1200 * 500**2 and correlation[lag] > 0.5 * correlation[0]:
            found.append(24_000 / lag)
    return float(np.median(found))


@pytest.mark.parametrize("name", ["mp3", "opus"])
def test_a_lossy_format_is_understood(kokoro: SpeechEngine, listener: Listener, name: str) -> None:
    text = "Please bring your passport and a copy of the form."
    assert word_error_rate(text, listener.hear(speak(kokoro, Speak(text, "af_bella", name))).text) <= 0.05


@pytest.mark.parametrize("speed", [0.35, 1.6])
def test_speech_at_another_speed_is_understood(
    kokoro: SpeechEngine, listener: Listener, speed: float
) -> None:
    heard = listener.hear(speak(kokoro, Speak(SENTENCES, "bm_george", "wav", speed)))
    assert word_error_rate(SENTENCES, heard.text) <= 0.10


def test_speeds_are_kept(kokoro: SpeechEngine) -> None:
    at_one = seconds(speak(kokoro, Speak(SENTENCES, "af_bella", "wav")))
    for speed in (0.25, 4.0):
        taken = seconds(speak(kokoro, Speak(SENTENCES, "af_bella", "wav", speed)))
        assert taken == pytest.approx(at_one / speed, rel=0.15)


def test_numbers_and_abbreviations_are_read(kokoro: SpeechEngine, listener: Listener) -> None:
    heard = listener.hear(speak(kokoro, Speak("Dr. Smith paid $4.50 at 7:30 pm.", "af_bella", "wav"))).text
    assert "Smith" in heard
    assert "4.50" in heard or "four dollars and fifty cents" in heard.lower()
    assert "7.30" in heard or "7:30" in heard or "seven thirty" in heard.lower()


def test_a_text_without_any_full_stop_is_spoken_to_the_end(kokoro: SpeechEngine, listener: Listener) -> None:
    text = (
        "first we walk along the river and then we cross the old bridge where the fishermen sit all day"
        " and after that we climb the hill behind the church until we can see the whole valley with its"
        " green fields and little houses and finally we go back home before it gets dark"
    )
    heard = listener.hear(speak(kokoro, Speak(text, "af_bella", "wav")))
    assert word_error_rate(text, heard.text) <= 0.10


def test_no_sample_is_clipped_in_the_loudest_voices(kokoro: SpeechEngine) -> None:
    for voice in ("am_fenrir", "am_adam"):
        samples = np.frombuffer(speak(kokoro, Speak("Hello there, friend.", voice)), "<i2")
        assert 3_000 < np.abs(samples.astype(int)).max() <= 0.98 * 32768 + 1


def test_a_caller_who_leaves_stops_it_in_the_middle_of_a_sentence(kokoro: SpeechEngine) -> None:
    long = JobEnd(kokoro, Speak("one and two and three and four and " * 7, "af_bella"))
    time.sleep(0.3)
    long.job.cancel()
    left = time.perf_counter()
    with pytest.raises(Cancelled):
        long.wait()
    assert time.perf_counter() - left < 1
    assert speak(kokoro, Speak("The next one is served.", "af_bella"))


def test_voices_of_another_shape_are_refused(tmp_path: Path) -> None:
    _, files = pulled("kokoro-82m")
    voices = tmp_path / "voices.npz"
    np.savez(voices, af_bella=np.zeros((3, 256), np.float32))
    with pytest.raises(ValueError, match="af_bella"):
        load({**files, "voices": voices}, {"threads": 1})
