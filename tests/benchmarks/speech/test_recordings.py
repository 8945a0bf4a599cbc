import gzip
import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.processes import BenchmarkError
from benchmarks.speech import recordings
from benchmarks.speech.recordings import PACKAGES, RATE, Clip, book_texts, clip, joined, prompt_texts, wav

TONE = (np.sin(np.arange(RATE) / 10) * 8000).astype("<i2")


def g722(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="g722") as output:
        stream = output.add_stream("g722", rate=RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    texts, prompts, book = (tmp_path / package for package in PACKAGES)
    (texts / recordings._PROMPT_TEXTS).parent.mkdir(parents=True)
    with gzip.open(texts / recordings._PROMPT_TEXTS, "wt", encoding="utf-8") as file:
        file.write(
            "; Sounds\n\nhello: Hello to all of you.\nabsent: This one is not here.\nbeep: [the beep of it]\n"
        )
    (prompts / recordings._PROMPTS).mkdir(parents=True)
    (prompts / recordings._PROMPTS / "hello.g722").write_bytes(g722(TONE))
    (book / recordings._BOOK).mkdir(parents=True)
    (book / recordings._BOOK / "transcription").write_text("<s> he was a man </s> (one-1)\n")
    (book / recordings._BOOK / "one-1.wav").write_bytes(wav(TONE[: RATE // 2].tobytes()))
    return tmp_path


def test_recordings_are_found_with_their_texts(root: Path) -> None:
    found = recordings.load(root)
    assert [(one.name, one.text) for one in found] == [
        ("allison/hello", "Hello to all of you."),
        ("librivox/one-1", "he was a man"),
    ]
    assert [one.seconds for one in found] == pytest.approx([1.0, 0.5], abs=0.02)


def test_without_recordings_it_says_what_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"python -m benchmarks\.speech\.recordings"):
        recordings.load(tmp_path)


def test_prompts_that_are_no_sentence_are_left_out() -> None:
    lines = [
        "; a: b c d e f",
        "beep: [one two three four five]",
        "one: One.",
        "two: This is: a text.\n",
        "nothing",
    ]
    assert list(prompt_texts(lines)) == [("two", "This is: a text.")]


def test_passages_carry_their_names() -> None:
    assert list(book_texts(["<s> a b </s> (x-1)", "", "noise"])) == [("x-1", "a b")]


def test_a_recording_becomes_a_file_at_the_rate_of_speech_recognition() -> None:
    at_8000 = wav(TONE.tobytes(), 8_000)
    made = clip("tone", at_8000, "hum", form="wav")
    with wave.open(io.BytesIO(made.audio)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
    assert made.seconds == pytest.approx(2.0, abs=0.02)


def test_recordings_in_a_row_are_one() -> None:
    one = Clip("a", wav(TONE.tobytes()), "hum", 1.0)
    made = joined([one] * 5, 2.5)
    assert (made.seconds, made.text) == (3.0, "hum hum hum")


def test_a_package_that_is_there_is_not_fetched_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], where: Path) -> None:
        raise AssertionError(command)

    monkeypatch.setattr(recordings, "_run", run)
    recordings.fetch(root)
