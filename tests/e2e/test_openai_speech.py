"""The openai package speaks and listens."""

from pathlib import Path
from typing import Literal

import openai
import pytest

from tests.e2e.audio import SENTENCE, decode, from_pcm, word_error_rate

SHORT = "Good morning to you."
Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
CONTENT_TYPES: list[tuple[Format, str, str]] = [
    ("mp3", "audio/mpeg", "mp3"),
    ("opus", "audio/ogg", "ogg"),
    ("aac", "audio/aac", "aac"),
    ("flac", "audio/flac", "flac"),
    ("wav", "audio/wav", "wav"),
]


@pytest.mark.parametrize(("wanted", "content_type", "container"), CONTENT_TYPES)
def test_speech(client: openai.OpenAI, wanted: Format, content_type: str, container: str) -> None:
    answer = client.audio.speech.create(model="tts-1", voice="alloy", input=SHORT, response_format=wanted)

    assert answer.response.headers["content-type"] == content_type
    assert answer.response.headers["x-provocapi-model"] == "kokoro-82m"
    assert int(answer.response.headers["x-pg-inference-ms"]) > 0
    sound = decode(answer.content)
    assert sound.container == container
    assert 0.8 < sound.seconds < 4
    assert sound.loudness > 0.01


def test_pcm_is_what_comes_when_no_format_is_named(client: openai.OpenAI) -> None:
    answer = client.audio.speech.create(model="kokoro-82m", voice="bf_emma", input=SHORT)

    assert answer.response.headers["content-type"] == "audio/pcm"
    assert 0.8 < from_pcm(answer.content).seconds < 4


def test_mp3_has_a_constant_bit_rate_of_128_kbit(client: openai.OpenAI) -> None:
    data = client.audio.speech.create(
        model="tts-1", voice="alloy", input=SENTENCE, response_format="mp3"
    ).content

    assert len(data) * 8 / decode(data).seconds == pytest.approx(128_000, rel=0.05)


def test_a_wav_file_knows_its_length(client: openai.OpenAI, tmp_path: Path) -> None:
    file = tmp_path / "hello.wav"
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="nova", input=SHORT, response_format="wav"
    ) as answer:
        answer.stream_to_file(file)

    data = file.read_bytes()
    assert (data[:4], data[8:16]) == (b"RIFF", b"WAVEfmt ")
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert decode(data).seconds == pytest.approx((len(data) - 44) / 48_000, abs=0.05)


def test_sound_leaves_sentence_by_sentence(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="alloy",
        input=f"{SHORT} {SENTENCE} {SENTENCE}",
        response_format="pcm",
        extra_body={"stream": True},
    ) as answer:
        assert "content-length" not in answer.headers
        first_ms = int(answer.headers["x-pg-first-byte-ms"])
        pieces = list(answer.iter_bytes())

    assert first_ms > 0
    assert len(pieces) > 1
    assert from_pcm(b"".join(pieces)).seconds > 6


def test_transcription(client: openai.OpenAI, recording: bytes) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", recording))

    assert word_error_rate(SENTENCE, answer.text) <= 0.1


def test_transcription_as_text(client: openai.OpenAI, recording: bytes) -> None:
    text = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", recording), response_format="text"
    )

    assert word_error_rate(SENTENCE, text) <= 0.1


@pytest.mark.parametrize(
    ("wanted", "content_type", "opening"),
    [("srt", "application/x-subrip", "1\n00:00:0"), ("vtt", "text/vtt", "WEBVTT\n\n00:00:0")],
)
def test_transcription_as_subtitles(
    client: openai.OpenAI,
    recording: bytes,
    wanted: Literal["srt", "vtt"],
    content_type: str,
    opening: str,
) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("a.wav", recording), response_format=wanted
    )

    assert raw.headers["content-type"].startswith(content_type)
    assert raw.text.startswith(opening)
    assert "quick brown fox" in raw.text


def test_transcription_with_all_details(client: openai.OpenAI, recording: bytes) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=("a.wav", recording),
        response_format="verbose_json",
        language="en",
        prompt="A fox and a dog.",
        temperature=0,
    )

    assert answer.language == "en"
    assert answer.duration == pytest.approx(decode(recording).seconds, abs=0.2)
    assert answer.segments
    assert "".join(segment.text for segment in answer.segments).strip() == answer.text
    assert word_error_rate(SENTENCE, answer.text) <= 0.1


def test_transcription_with_words(client: openai.OpenAI, recording: bytes) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=("a.wav", recording),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    assert answer.words
    assert answer.segments
    assert word_error_rate(SENTENCE, " ".join(word.word for word in answer.words)) <= 0.1
    starts = [word.start for word in answer.words]
    assert starts == sorted(starts)
    assert all(0 <= word.start <= word.end <= answer.duration + 0.5 for word in answer.words)
    assert answer.usage is not None
    assert answer.usage.seconds == pytest.approx(decode(recording).seconds, abs=0.2)


def test_transcription_with_log_probabilities(client: openai.OpenAI, recording: bytes) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", recording), include=["logprobs"], chunking_strategy="auto"
    )

    assert answer.logprobs
    assert "".join(entry.token or "" for entry in answer.logprobs).strip() == answer.text
    assert all(-20 < (entry.logprob or 0.0) <= 0 for entry in answer.logprobs)
    assert answer.usage is not None
    assert answer.usage.type == "duration"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translation_needs_a_model_of_many_languages(client: openai.OpenAI, recording: bytes) -> None:
    with pytest.raises(openai.BadRequestError, match="whisper-base") as refused:
        client.audio.translations.create(model="whisper-1", file=("a.wav", recording))
    assert refused.value.param == "model"


def test_streamed_transcription(client: openai.OpenAI, recording: bytes) -> None:
    stream = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", recording), stream=True)
    text = ""
    for event in stream:
        if event.type == "transcript.text.delta":
            text += event.delta
    assert event.type == "transcript.text.done"

    assert event.text == text
    assert word_error_rate(SENTENCE, text) <= 0.1


def test_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"this is no sound"))
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="whisper-9", file=("a.wav", b"this is no sound"))
    with pytest.raises(openai.InternalServerError, match="nobody") as failed:
        client.audio.speech.create(model="tts-1", voice="nobody", input=SHORT)
    assert failed.value.status_code == 502
