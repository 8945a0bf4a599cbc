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
from tests.e2e.audio import word_error_rate, words
from tests.edge.engines.audio.files import encoded, wav
from tests.edge.engines.foreign import FRENCH, SPANISH, Saying, say
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


def tones(*frequencies: float) -> NDArray[np.float64]:
    """Chords of *frequencies* in Hz that swell twice a second, for 8 s."""
    time = np.arange(8 * SPEECH_RATE) / SPEECH_RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 2 * time)
    return np.asarray(sum(np.sin(2 * np.pi * frequency * time) for frequency in frequencies) * swell * 0.15)


NO_SPEECH = {
    "digital silence": np.zeros(8 * SPEECH_RATE),
    "faint noise": np.random.default_rng(0).standard_normal(8 * SPEECH_RATE) * 0.001,
    "loud noise": np.random.default_rng(0).standard_normal(8 * SPEECH_RATE) * 0.05,
    "a hum": tones(50, 100, 150),
    "music": np.concatenate(
        [tones(262, 330, 392)[: 4 * SPEECH_RATE], tones(220, 277, 330)[: 4 * SPEECH_RATE]]
    ),
    "clicks": np.where(np.arange(8 * SPEECH_RATE) % 12_000 < 40, 0.8, 0.0),
}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech_gives_no_text(listener: Listener, name: str) -> None:
    heard = listener.hear(encoded("wav", NO_SPEECH[name].astype(np.float32)))
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


@pytest.fixture(scope="session")
def multilingual() -> WhisperEngine:
    _, files = pulled("whisper-base")
    return load(files, {"threads": 2})


def test_a_multilingual_model_tells_which_language_it_heard(
    multilingual: WhisperEngine, said: NDArray[np.float32]
) -> None:
    assert {"en", "fr", "de"} <= set(multilingual.info["languages"])
    heard = transcript(multilingual, Transcribe(encoded("wav", said)))
    assert heard.end.language == "en"
    assert word_error_rate(TEXT, heard.text) <= 0.05
    assert transcript(multilingual, Transcribe(encoded("wav", said), language="de")).end.language == "de"
    silence = encoded("wav", np.zeros(SPEECH_RATE, np.float32))
    assert transcript(multilingual, Transcribe(silence)).end.language == "en"
    assert refusal(multilingual, Transcribe(encoded("wav", said), language="klingon")).param == "language"


@pytest.mark.parametrize("saying", [SPANISH, FRENCH], ids=lambda saying: saying.language)
def test_other_languages_are_written_down_and_translated(multilingual: WhisperEngine, saying: Saying) -> None:
    audio = encoded("flac", say(saying))
    heard = transcript(multilingual, Transcribe(audio))
    assert heard.end.language == saying.language
    assert word_error_rate(saying.text, heard.text) <= 0.2
    translated = transcript(multilingual, Transcribe(audio, translate=True))
    assert saying.meaning <= set(words(translated.text))


def test_an_english_model_cannot_translate(whisper: WhisperEngine) -> None:
    error = refusal(whisper, Transcribe(b"any", translate=True))
    assert error.param == "model"
    assert "cannot translate" in str(error)


def test_words_have_times_of_their_own(listener: Listener, said: NDArray[np.float32]) -> None:
    heard = transcript(listener.engine, Transcribe(encoded("flac", np.pad(said, SPEECH_RATE)), words=True))
    told = [word for segment in heard.segments for word in segment.words or ()]
    assert "".join(word for word, *_ in told) == "".join(segment.text for segment in heard.segments)
    times = [time for _, *pair, _ in told for time in pair]
    assert times == sorted(times)
    assert 0.6 < times[0] < 1.6  # there is a second of silence before it
    assert times[-1] == pytest.approx(heard.end.duration - 1.0, abs=0.6)
    assert all(0 < probability <= 1 for *_, probability in told)
    assert all(segment.words is None for segment in listener.hear(encoded("flac", said)).segments)


def test_how_far_a_transcription_is_is_told(
    whisper: WhisperEngine, said: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 4)
    monkeypatch.setattr(blocks, "SEARCH_SECONDS", 2)
    told = [event for event in run(whisper, Transcribe(encoded("wav", said))) if isinstance(event, Heard)]
    assert told[0].seconds == 0
    assert len(told) > 1
    assert [event.seconds for event in told] == sorted(event.seconds for event in told)
    assert {round(event.duration, 2) for event in told} == {round(len(said) / SPEECH_RATE, 2)}


def test_a_short_recording_is_heard_before_a_long_one_that_came_first(
    whisper: WhisperEngine, said: NDArray[np.float32], story: NDArray[np.float32]
) -> None:
    long = JobEnd(whisper, Transcribe(encoded("flac", np.tile(story, 3)), caller="long"))
    while not long.events and long.error is None:
        time.sleep(0.01)
    short = JobEnd(whisper, Transcribe(encoded("flac", said), caller="short"))
    assert word_error_rate(TEXT, "".join(e.text for e in short.wait() if isinstance(e, Segment))) == 0
    assert not any(isinstance(event, Transcribed) for event in long.events)
    long.job.cancel()
    with pytest.raises(Cancelled):
        long.wait()
