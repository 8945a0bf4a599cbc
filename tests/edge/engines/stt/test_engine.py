import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.engines.audio import SPEECH_RATE
from edge.engines.base import Cancelled, InvalidRequest, Job
from edge.engines.stt import WhisperEngine, blocks, load
from edge.engines.stt.engine import Attempts, fallback_temperatures
from edge.engines.tts.engine import SpeechEngine
from edge.engines.tts.hibari import load as load_hibari
from edge.workers.messages import Heard, Segment, Speak, Transcribe, Transcribed
from tests.e2e.audio import word_error_rate
from tests.edge.engines.audio.files import encoded, wav
from tests.edge.engines.hearing import Listener, transcript
from tests.edge.engines.running import JobEnd, run
from tests.edge.engines.tts.test_kokoro import speak
from tests.models import pulled

TEXT = "She opened the window and listened to the rain. The train leaves early in the morning."
STORY = (
    "On the first of May a letter came from my uncle in Canada. He wrote that his farm was sold and that "
    "he wanted to see the sea again before he grew too old. My mother read it twice and put it behind the "
    "clock. For some days nobody spoke about it. Then my brother found an old map of the coast, with "
    "every harbour drawn in red ink, and we began to plan the journey. We would take the night train to "
    "the south, sleep in a small hotel near the market, and hire a boat for three weeks. My father "
    "thought that it would cost far too much money. He counted the coins in the green box, shook his "
    "head, and went out to feed the horses. But in the evening he came back with a smile, because the "
    "neighbour had promised to lend us his boat."
)


@pytest.fixture(scope="session")
def reader() -> SpeechEngine:
    model, files = pulled("hibari")
    return load_hibari(files, dict(model.options) | {"threads": 1})


def read(reader: SpeechEngine, text: str) -> NDArray[np.float32]:
    """The sound of *text*, samples at ``SPEECH_RATE``."""
    return np.frombuffer(speak(reader, Speak(text, "heart")), "<i2").astype(np.float32) / np.float32(32768)


@pytest.fixture(scope="session")
def said(reader: SpeechEngine) -> NDArray[np.float32]:
    return read(reader, TEXT)


@pytest.fixture(scope="session")
def story(reader: SpeechEngine) -> NDArray[np.float32]:
    """Two of Whisper's windows of half a minute, and some more."""
    return read(reader, STORY)


def refusal(engine: WhisperEngine, request: Transcribe) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        run(engine, request)
    return caught.value


def test_segments_tell_what_was_said_and_when(listener: Listener, said: NDArray[np.float32]) -> None:
    heard = listener.hear(encoded("flac", said))
    assert word_error_rate(TEXT, heard.text) == 0
    assert heard.end.language == "en"
    assert heard.end.duration == pytest.approx(len(said) / SPEECH_RATE, abs=0.01)
    assert heard.end.inference_ms > 0
    for index, segment in enumerate(heard.segments):
        assert segment.id == index
        assert 0 <= segment.start < segment.end <= heard.end.duration + 0.5
        assert segment.text.startswith(" ")
        assert segment.tokens
        assert segment.avg_logprob < 0
        assert 0 <= segment.no_speech_prob <= 1


def test_stereo_is_heard_as_well(listener: Listener, said: NDArray[np.float32]) -> None:
    heard = listener.hear(wav(said, rate=SPEECH_RATE, channels=2))
    assert word_error_rate(TEXT, heard.text) == 0


@pytest.mark.parametrize("loudness", [0.0, 0.001, 0.05])
def test_silence_and_noise_give_no_text(listener: Listener, loudness: float) -> None:
    noise = np.random.default_rng(0).standard_normal(8 * SPEECH_RATE) * loudness
    heard = listener.hear(encoded("wav", noise.astype(np.float32)))
    assert heard.segments == []
    assert heard.end.duration == pytest.approx(8.0, abs=0.01)
    assert heard.end.language == "en"


def test_a_moment_of_sound_gives_no_error(listener: Listener) -> None:
    for samples in (1, 10, 2000):
        assert listener.hear(wav(np.full(samples, 0.3, np.float32), rate=16_000)).text == ""


@pytest.mark.parametrize("data", [b"", b"no sound at all", bytes(5000), b"RIFF\x24\0\0\0WAVEfmt "])
def test_what_is_no_audio_is_refused(whisper: WhisperEngine, data: bytes) -> None:
    assert refusal(whisper, Transcribe(data)).param == "file"


def test_an_english_model_refuses_other_languages(listener: Listener, said: NDArray[np.float32]) -> None:
    audio = encoded("wav", said)
    assert word_error_rate(TEXT, listener.hear(audio, language="EN").text) == 0
    error = refusal(listener.engine, Transcribe(audio, language="fr"))
    assert error.param == "language"
    assert "en only" in str(error)


def test_a_prompt_guides_the_spelling(listener: Listener, said: NDArray[np.float32]) -> None:
    audio = encoded("wav", said)
    assert word_error_rate(TEXT, listener.hear(audio, prompt="Rain, trains and windows.").text) <= 0.1
    assert listener.hear(audio, prompt="word " * 5000).end.duration > 0


@pytest.mark.parametrize("temperature", [-0.1, 1.1, float("nan")])
def test_a_temperature_out_of_range_is_refused(whisper: WhisperEngine, temperature: float) -> None:
    assert refusal(whisper, Transcribe(b"any", temperature=temperature)).param == "temperature"


def test_the_temperatures_rise_from_the_one_asked_for() -> None:
    assert fallback_temperatures(0.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert fallback_temperatures(0.7) == [0.7, 0.9]
    assert fallback_temperatures(1.0) == [1.0]


def test_another_kind_of_request_is_refused(whisper: WhisperEngine) -> None:
    with pytest.raises(InvalidRequest, match="transcribes") as caught:
        run(whisper, Speak("text", "voice"))
    assert caught.value.param == "model"


def test_a_recording_of_several_blocks_is_heard_to_the_end_with_its_own_times(
    listener: Listener, said: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 9)
    monkeypatch.setattr(blocks, "SEARCH_SECONDS", 5)
    heard = listener.hear(encoded("mp3", np.tile(said, 4)))
    assert heard.end.duration == pytest.approx(4 * len(said) / SPEECH_RATE, abs=0.05)
    assert word_error_rate(" ".join([TEXT] * 4), heard.text) <= 0.05
    assert [segment.id for segment in heard.segments] == list(range(len(heard.segments)))
    opened = [segment.start for segment in heard.segments if "opened" in segment.text]
    assert opened == pytest.approx([turn * len(said) / SPEECH_RATE for turn in range(4)], abs=1.0)
    assert heard.segments[-1].end == pytest.approx(heard.end.duration, abs=1.0)


def test_the_first_segment_leaves_before_the_last_is_heard(
    whisper: WhisperEngine, story: NDArray[np.float32]
) -> None:
    times: list[tuple[type, float]] = []
    ended = threading.Event()
    job = Job(
        Transcribe(encoded("flac", story)),
        lambda event: times.append((type(event), time.perf_counter())),
        lambda _: ended.set(),
    )
    started = time.perf_counter()
    whisper.submit(job)
    assert ended.wait(60)
    times = [(kind, at) for kind, at in times if kind is not Heard]
    assert times[0][0] is Segment
    assert times[-1][0] is Transcribed
    assert times[0][1] - started < 0.8 * (times[-1][1] - started)


def test_a_caller_who_leaves_frees_the_engine(
    whisper: WhisperEngine, said: NDArray[np.float32], story: NDArray[np.float32]
) -> None:
    long = JobEnd(whisper, Transcribe(encoded("flac", np.tile(story, 3))))
    while not any(isinstance(event, Segment) for event in long.events) and long.error is None:
        time.sleep(0.01)
    long.job.cancel()
    with pytest.raises(Cancelled):
        long.wait()
    assert not any(isinstance(event, Transcribed) for event in long.events)
    assert word_error_rate(TEXT, transcript(whisper, Transcribe(encoded("flac", said))).text) == 0


def test_a_caller_who_leaves_stops_the_attempts_at_a_window() -> None:
    check = iter([None, None, Cancelled()])

    def leave() -> None:
        if error := next(check):
            raise error

    attempts = iter(Attempts([0.0, 0.2, 0.4, 0.6], leave))
    assert [next(attempts), next(attempts)] == [0.0, 0.2]
    with pytest.raises(Cancelled):
        next(attempts)


def test_a_recording_over_the_limit_is_refused_by_its_length(said: NDArray[np.float32]) -> None:
    _, files = pulled("whisper-tiny.en")
    engine = load(files, {"threads": 1, "max_audio_seconds": 3})
    error = refusal(engine, Transcribe(encoded("mp3", said)))
    assert error.param == "file"
    assert "3 seconds" in str(error)
    assert engine.info["max_audio_seconds"] == 3


def test_a_multilingual_model_tells_which_language_it_heard(said: NDArray[np.float32]) -> None:
    _, files = pulled("whisper-base")
    engine = load(files, {"threads": 2})
    assert {"en", "fr", "de"} <= set(engine.info["languages"])
    heard = transcript(engine, Transcribe(encoded("wav", said)))
    assert heard.end.language == "en"
    assert word_error_rate(TEXT, heard.text) <= 0.05
    assert transcript(engine, Transcribe(encoded("wav", said), language="de")).end.language == "de"
    assert (
        transcript(engine, Transcribe(encoded("wav", np.zeros(SPEECH_RATE, np.float32)))).end.language == "en"
    )
    assert refusal(engine, Transcribe(encoded("wav", said), language="klingon")).param == "language"
