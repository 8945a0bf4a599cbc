"""What is spoken is understood: synthesised, sent on in many containers, and transcribed back."""

import io

import av
import httpx
import numpy as np
import pytest

from tests.e2e.audio import SENTENCE, decode, word_error_rate

SAID = {
    "af_bella": "The harbour was calm that evening, and all the small boats came home before the rain.",
    "am_michael": "Please send the report to my office by Monday morning, or call me before lunch.",
    "bf_isabella": "She bought green apples, a loaf of white bread, and a bottle of cold milk.",
    "bm_george": "The train to the city leaves from the other platform in about half an hour.",
    "shimmer": "Every student in the class should read this chapter before tomorrow.",
}
"""Without numbers: those may be written in words or in digits."""

CONTAINERS = [
    pytest.param("wav", "pcm_s16le", 44_100, id="wav"),
    pytest.param("wav", "pcm_mulaw", 8_000, id="telephone wav"),
    pytest.param("mp3", "libmp3lame", 44_100, id="mp3"),
    pytest.param("ipod", "aac", 44_100, id="m4a"),
    pytest.param("ogg", "libopus", 48_000, id="ogg"),
    pytest.param("flac", "flac", 16_000, id="flac"),
    pytest.param("webm", "libopus", 48_000, id="webm"),
]


def transcribe(http: httpx.Client, data: bytes, name: str = "recording") -> str:
    answer = http.post(
        "/v1/audio/transcriptions",
        data={"model": "whisper-tiny.en", "response_format": "text"},
        files={"file": (name, data, "application/octet-stream")},
    )
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("voice", SAID)
def test_what_a_voice_says_is_understood(http: httpx.Client, voice: str) -> None:
    spoken = http.post(
        "/v1/audio/speech",
        json={"model": "kokoro-82m", "voice": voice, "input": SAID[voice], "response_format": "mp3"},
    )

    assert spoken.status_code == 200, spoken.text
    heard = transcribe(http, spoken.content)
    assert word_error_rate(SAID[voice], heard) <= 0.1, heard


@pytest.mark.parametrize(("container", "codec", "rate"), CONTAINERS)
def test_every_container_is_opened(
    http: httpx.Client, recording: bytes, container: str, codec: str, rate: int
) -> None:
    heard = transcribe(http, encode(recording, container, codec, rate))

    assert word_error_rate(SENTENCE, heard) <= 0.1, heard


@pytest.mark.parametrize("wanted", ["json", "text", "srt", "vtt", "verbose_json"])
def test_silence_has_no_words(http: httpx.Client, wanted: str) -> None:
    silence = encode_samples(np.zeros(24_000 * 2, np.int16), "wav", "pcm_s16le", 24_000)

    answer = http.post(
        "/v1/audio/transcriptions",
        params={"model": "whisper-1", "sync": "true", "response_format": wanted},
        files={"file": silence},
    )

    assert answer.status_code == 200, answer.text
    if wanted.endswith("json"):
        assert answer.json()["text"] == ""
        assert answer.json()["duration"] == pytest.approx(2, abs=0.1)
    else:
        assert answer.text.removeprefix("WEBVTT").strip() == ""


def encode(recording: bytes, container: str, codec: str, rate: int) -> bytes:
    sound = decode(recording)
    return encode_samples((sound.samples * 32767).astype(np.int16), container, codec, rate, sound.rate)


def encode_samples(
    samples: "np.ndarray[tuple[int], np.dtype[np.int16]]",
    container: str,
    codec: str,
    rate: int,
    sample_rate: int = 24_000,
) -> bytes:
    """Return 16-bit *samples*, resampled to *rate*, as a file."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = sample_rate
        resampler = av.AudioResampler(
            format=stream.codec_context.format.name,
            layout="mono",
            rate=rate,
            frame_size=stream.codec_context.frame_size,
        )
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return file.getvalue()
