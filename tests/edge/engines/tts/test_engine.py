"""The speech engine with a model that hums: fast, and its sound is known."""

import itertools
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.engines.audio import FORMATS, SPEECH_RATE
from edge.engines.base import Cancelled, InvalidRequest, Job
from edge.engines.tts.engine import MAX_EVENT_BYTES, SpeechEngine
from edge.engines.tts.phonemes import Phonemizer
from edge.engines.tts.utterances import PIECE_TOKENS
from edge.engines.tts.voices import Blend, VoiceTable, kokoro_voice
from edge.workers.messages import Audio, Embed, Event, Speak, Spoken
from tests.edge.engines.audio.test_encoder import decode
from tests.edge.engines.running import JobEnd, run

TWO_SENTENCES = "This is the first sentence of the text. This is the second sentence of it."


class Hum:
    """A model that hums a tenth of a second per token."""

    slowest = 0.5
    fastest = 2.0
    voices = VoiceTable([kokoro_voice("af_bella")], {})

    def __init__(self, phonemizer: Phonemizer) -> None:
        self._phonemizer = phonemizer
        self.peak = 0.5
        self.before_each: Callable[[Job], None] = lambda job: None
        self.speeds: list[float] = []

    def phonemizer(self, voice: Blend) -> Phonemizer:
        return self._phonemizer

    def rest(self) -> None:
        pass

    def synthesize(self, tokens: list[int], voice: Blend, *, speed: float, job: Job) -> NDArray[np.float32]:
        assert 0 < len(tokens) <= PIECE_TOKENS
        self.before_each(job)
        self.speeds.append(speed)
        t = np.arange(round(len(tokens) / 10 / speed * SPEECH_RATE)) / SPEECH_RATE
        hum = self.peak * np.sin(2 * np.pi * 220 * t)
        return np.pad(hum, SPEECH_RATE // 2).astype(np.float32)


@pytest.fixture
def hum(american: Phonemizer) -> Hum:
    return Hum(american)


@pytest.fixture
def engine(hum: Hum) -> SpeechEngine:
    return SpeechEngine(hum)


def pieces(events: list[Event]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, Audio) and event.data]


def spoken(engine: SpeechEngine, request: Speak) -> NDArray[np.float32]:
    """The samples of a pcm request."""
    return np.frombuffer(b"".join(pieces(run(engine, request))), "<i2").astype(np.float32) / np.float32(32768)


def refusal(engine: SpeechEngine, request: Speak) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        run(engine, request)
    return caught.value


@pytest.mark.parametrize("name", FORMATS)
def test_without_streaming_the_file_comes_in_one_piece(engine: SpeechEngine, name: str) -> None:
    assert len(pieces(run(engine, Speak(TWO_SENTENCES, "af_bella", name)))) == 1


@pytest.mark.parametrize("name", ["pcm", "opus"])
def test_a_stream_is_the_same_file_in_pieces(engine: SpeechEngine, name: str) -> None:
    streamed = pieces(run(engine, Speak(TWO_SENTENCES, "af_bella", name, stream=True)))
    assert len(streamed) >= 2
    assert [b"".join(streamed)] == pieces(run(engine, Speak(TWO_SENTENCES, "af_bella", name)))


def test_the_first_piece_leaves_before_the_second_sentence_is_made(engine: SpeechEngine, hum: Hum) -> None:
    second, go_on = itertools.count(), threading.Event()

    def wait(job: Job) -> None:
        if next(second) == 1:
            assert go_on.wait(10)

    hum.before_each = wait
    first_piece = threading.Event()
    ended = threading.Event()
    job = Job(
        Speak(TWO_SENTENCES, "af_bella", stream=True), lambda _: first_piece.set(), lambda _: ended.set()
    )
    engine.submit(job)
    assert first_piece.wait(10)
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(10)


def test_sentences_are_joined_by_a_pause_and_not_by_the_models_silence(engine: SpeechEngine) -> None:
    samples = spoken(engine, Speak(TWO_SENTENCES, "af_bella"))
    loud = np.flatnonzero(np.abs(samples) > 0.05)
    gaps = np.diff(loud) / SPEECH_RATE
    pauses = gaps[gaps > 0.1]
    assert pauses == pytest.approx([0.45], abs=0.03)
    assert loud[0] / SPEECH_RATE == pytest.approx(0.05, abs=0.02)
    assert (len(samples) - loud[-1]) / SPEECH_RATE == pytest.approx(0.2, abs=0.02)


@settings(max_examples=12, deadline=None)
@given(speed=st.floats(0.25, 4.0))
@example(speed=0.25)
@example(speed=4.0)
def test_any_speed_is_kept(american: Phonemizer, speed: float) -> None:
    engine = SpeechEngine(Hum(american))
    at_one = len(spoken(engine, Speak(TWO_SENTENCES, "af_bella"))) / SPEECH_RATE
    taken = len(spoken(engine, Speak(TWO_SENTENCES, "af_bella", speed=speed))) / SPEECH_RATE
    # The stretch lengthens each sentence by up to 0.1 s, however long it is.
    assert taken == pytest.approx(at_one / speed, abs=0.25)


def test_the_model_is_never_asked_for_a_speed_that_it_cannot_speak(engine: SpeechEngine, hum: Hum) -> None:
    for speed in (0.25, 1.0, 4.0):
        run(engine, Speak("One short sentence is enough.", "af_bella", speed=speed))
    assert hum.speeds == [0.5, 1.0, 2.0]


def test_a_voice_that_is_too_loud_is_turned_down(engine: SpeechEngine, hum: Hum) -> None:
    hum.peak = 3.0
    samples = spoken(engine, Speak(TWO_SENTENCES, "af_bella"))
    assert 0.9 < np.abs(samples).max() < 0.99


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (Speak(TWO_SENTENCES, "nobody"), "voice"),
        (Speak("", "af_bella"), "input"),
        (Speak(" \n ", "af_bella"), "input"),
        (Speak("?! ...", "af_bella"), "input"),
        (Speak("🙂🙂", "af_bella"), "input"),
        (Speak("你好。", "af_bella"), "input"),
        (Speak(TWO_SENTENCES, "af_bella", "midi"), "response_format"),
        (Speak(TWO_SENTENCES, "af_bella", "mp3", stream=True), "response_format"),
        (Speak(TWO_SENTENCES, "af_bella", speed=0.2), "speed"),
        (Speak(TWO_SENTENCES, "af_bella", speed=4.1), "speed"),
        (Speak(TWO_SENTENCES, "af_bella", speed=float("nan")), "speed"),
        (Speak("12345678 " * 450, "af_bella", speed=0.25), "input"),
    ],
)
def test_what_cannot_be_spoken_is_refused_with_the_field_at_fault(
    engine: SpeechEngine, request_: Speak, param: str
) -> None:
    assert refusal(engine, request_).param == param


def test_another_kind_of_request_is_refused(engine: SpeechEngine) -> None:
    with pytest.raises(InvalidRequest, match="speaks") as caught:
        run(engine, Embed(["text"]))
    assert caught.value.param == "model"


def test_what_has_no_sound_is_left_out_of_what_has(engine: SpeechEngine) -> None:
    with_emoji = spoken(engine, Speak("🙂🙂🙂\n\nThis is what can be said. 🙂", "af_bella"))
    assert len(with_emoji) == len(spoken(engine, Speak("This is what can be said.", "af_bella")))


@pytest.mark.parametrize("peak", [0.0, float("nan")])
def test_a_model_that_makes_no_sound_is_an_error_and_not_silence(
    engine: SpeechEngine, hum: Hum, peak: float
) -> None:
    hum.peak = peak
    with pytest.raises(RuntimeError, match="the model made"):
        run(engine, Speak(TWO_SENTENCES, "af_bella"))


def test_a_caller_who_leaves_stops_it_before_the_next_sentence(engine: SpeechEngine, hum: Hum) -> None:
    made = itertools.count()

    def leave(job: Job) -> None:
        next(made)
        job.cancel()

    hum.before_each = leave
    with pytest.raises(Cancelled):
        run(engine, Speak(TWO_SENTENCES * 10, "af_bella"))
    assert next(made) == 1
    hum.before_each = lambda job: None
    assert pieces(run(engine, Speak(TWO_SENTENCES, "af_bella")))


def test_a_caller_who_left_while_waiting_is_not_served(engine: SpeechEngine, hum: Hum) -> None:
    go_on = threading.Event()

    def wait(job: Job) -> None:
        assert go_on.wait(10)

    hum.before_each = wait
    first = JobEnd(engine, Speak("The first one takes its time.", "af_bella"))
    second = JobEnd(engine, Speak("The second one gives up.", "af_bella"))
    second.job.cancel()
    go_on.set()
    assert first.wait()
    with pytest.raises(Cancelled):
        second.wait()
    assert len(hum.speeds) == 1


def test_a_file_too_large_for_one_frame_comes_in_several(engine: SpeechEngine) -> None:
    sizes = list(map(len, pieces(run(engine, Speak(f"{TWO_SENTENCES} " * 50, "af_bella")))))
    assert len(sizes) > 1
    assert max(sizes) <= MAX_EVENT_BYTES


@pytest.mark.parametrize("stream", [False, True])
def test_the_end_tells_how_much_was_spoken(engine: SpeechEngine, stream: bool) -> None:
    *_, end = events = run(engine, Speak(f" {TWO_SENTENCES}\n🙂", "af_bella", stream=stream))
    assert isinstance(end, Spoken)
    assert end.characters == len(TWO_SENTENCES)
    assert end.seconds == pytest.approx(sum(map(len, pieces(events))) / 2 / SPEECH_RATE)
    assert 0 <= end.queue_ms < end.inference_ms < 10_000


@pytest.mark.parametrize("stream", [False, True])
def test_every_sentence_tells_its_characters_once_it_is_spoken(engine: SpeechEngine, stream: bool) -> None:
    events = run(engine, Speak(TWO_SENTENCES, "af_bella", stream=stream))
    counts = [event.characters for event in events if isinstance(event, Audio) and event.characters]
    first, second = TWO_SENTENCES.split(". ")
    assert counts == [len(first) + 1, len(second) + 1]


def test_the_time_of_others_is_no_time_of_ones_own(engine: SpeechEngine, hum: Hum) -> None:
    hum.before_each = lambda job: time.sleep(0.1)
    ends = [JobEnd(engine, Speak(TWO_SENTENCES, "af_bella")) for _ in range(3)]
    for end in ends:
        *_, spoken = end.wait()
        assert isinstance(spoken, Spoken)
        assert 200 < spoken.inference_ms < 1000
        assert 150 < spoken.queue_ms < 3000


def test_a_short_text_does_not_wait_for_a_long_one(engine: SpeechEngine, hum: Hum) -> None:
    hum.before_each = lambda job: time.sleep(0.06)
    long = JobEnd(engine, Speak(f"{TWO_SENTENCES} " * 10, "af_bella", stream=True))
    short = JobEnd(engine, Speak(TWO_SENTENCES, "af_bella", "mp3"))
    short.wait()
    said = len(pieces(long.events))
    assert said <= 4
    assert len(pieces(long.wait())) == 20


def test_speeches_that_are_made_at_once_do_not_mix(engine: SpeechEngine) -> None:
    texts = [f"{TWO_SENTENCES} " * count for count in range(1, 5)]
    alone = [b"".join(pieces(run(engine, Speak(text, "af_bella")))) for text in texts]
    ends = [
        JobEnd(engine, Speak(text, "af_bella", stream=number % 2 == 0)) for number, text in enumerate(texts)
    ]
    assert [b"".join(pieces(end.wait())) for end in ends] == alone


def test_a_text_that_could_last_too_long_is_refused_before_its_first_sound(engine: SpeechEngine) -> None:
    end = JobEnd(engine, Speak("12345678 " * 450, "af_bella", speed=0.25, stream=True))
    with pytest.raises(InvalidRequest, match="the limit is 20"):
        end.wait()
    assert end.events == []


@pytest.mark.parametrize("name", ["pcm", "opus"])
def test_joins_are_silent_and_have_no_step(engine: SpeechEngine, name: str) -> None:
    data = b"".join(pieces(run(engine, Speak(f"{TWO_SENTENCES} " * 3, "af_bella", name, stream=True))))
    samples = decode(name, data)
    # The steepest that a sine of 220 Hz is; an encoder adds a little.
    steepest = 0.5 * 2 * np.pi * 220 / SPEECH_RATE
    assert np.abs(np.diff(samples)).max() < steepest * (1.02 if name == "pcm" else 1.4)


def test_the_engine_tells_its_voices(engine: SpeechEngine) -> None:
    assert [voice["id"] for voice in engine.info["voices"]] == ["af_bella"]
    assert engine.info["sample_rate"] == 24_000
    assert engine.info["languages"] == ["en"]
