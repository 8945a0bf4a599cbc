from pathlib import Path

import pytest

from benchmarks.speech.raw import Ear, Mouth, Order
from benchmarks.speech.recordings import wav
from tests.models import pulled


@pytest.fixture(scope="module")
def order() -> Order:
    _, tts = pulled("kokoro-82m")
    _, stt = pulled("whisper-tiny.en")
    return Order(str(Path(stt["model"]).parent), str(tts["model"]), str(tts["voices"]), threads=1)


def test_a_text_is_spoken_sentence_by_sentence(order: Order) -> None:
    found = Mouth(order).speak("This is the first of two sentences. And this is the second one.", "af_bella")
    assert 0 < found["first_seconds"] < found["seconds"]
    assert 3 < found["audio_seconds"] < 10


def test_silence_has_no_words(order: Order) -> None:
    found = Ear(order).hear(wav(bytes(32_000)))
    assert found["text"] == ""
    assert found["seconds"] > 0
