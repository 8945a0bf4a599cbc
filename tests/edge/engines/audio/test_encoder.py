import io
import wave

import av
import numpy as np
import pytest
from av.container import InputContainer
from numpy.typing import NDArray

from edge.engines.audio import FORMATS, SPEECH_RATE
from edge.engines.audio.encoder import AudioEncoder
from edge.engines.tts.sentences import Break
from tests.edge.engines.audio.signals import best_correlation, chirp

CODECS = {"wav": "pcm_s16le", "mp3": "mp3float", "opus": "opus", "aac": "aac", "flac": "flac"}
CONTAINERS = {"wav": "wav", "mp3": "mp3", "opus": "ogg", "aac": "aac", "flac": "flac"}


def encode(name: str, samples: NDArray[np.float32], *, pieces: int = 1) -> list[bytes]:
    with AudioEncoder(name) as encoder:
        return [*map(encoder.encode, np.array_split(samples, pieces)), encoder.close()]


def decode(name: str, data: bytes) -> NDArray[np.float32]:
    """Decode with nothing but FFmpeg's own judgement of what the file is, at ``SPEECH_RATE``."""
    if name == "pcm":
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
    resampler = av.AudioResampler("flt", "mono", SPEECH_RATE)
    with av.open(io.BytesIO(data)) as file:
        assert isinstance(file, InputContainer)
        assert file.format.name == CONTAINERS[name]
        stream = file.streams.audio[0]
        assert stream.codec_context.name == CODECS[name]
        assert stream.codec_context.layout.nb_channels == 1
        frames = [part for frame in file.decode(stream) for part in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.3, 2.71])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_decodes_to_the_sound_that_went_in(name: str, seconds: float) -> None:
    sound = chirp(seconds)
    heard = decode(name, b"".join(encode(name, sound, pieces=7)))
    assert abs(len(heard) - len(sound)) / SPEECH_RATE < 0.05
    padded = np.pad(heard, (0, 200))
    assert best_correlation(sound, padded, max_lag=100) > 0.99


@pytest.mark.parametrize("name", ["pcm", "wav", "flac"])
def test_a_lossless_format_keeps_every_sample_to_16_bits(name: str) -> None:
    sound = chirp(0.5)
    heard = decode(name, b"".join(encode(name, sound)))
    assert np.abs(heard - sound).max() <= 1 / 32768


@pytest.mark.parametrize("name", FORMATS)
def test_the_bytes_do_not_depend_on_how_the_sound_was_cut(name: str) -> None:
    sound = chirp(1.0)
    assert b"".join(encode(name, sound, pieces=11)) == b"".join(encode(name, sound))


def test_pcm_leaves_as_it_comes() -> None:
    pieces = encode("pcm", chirp(1.0), pieces=4)
    assert [len(piece) for piece in pieces] == [12_000] * 4 + [0]


def test_opus_keeps_back_less_than_the_pause_after_a_sentence() -> None:
    sound = chirp(3.0)
    with AudioEncoder("opus") as encoder:
        early = encoder.encode(sound)
    heard = decode("opus", early)
    assert len(sound) / SPEECH_RATE - len(heard) / SPEECH_RATE < Break.SENTENCE.value


def test_a_format_that_does_not_stream_leaves_whole() -> None:
    for name in ("wav", "mp3", "aac", "flac"):
        *early, last = encode(name, chirp(1.0), pieces=3)
        assert not any(early)
        assert last


def test_a_wav_tells_its_true_size() -> None:
    data = b"".join(encode("wav", chirp(1.0), pieces=3))
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert data[36:40] == b"data"
    assert int.from_bytes(data[40:44], "little") == len(data) - 44
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SPEECH_RATE, 1, 2)
        assert file.getnframes() == SPEECH_RATE


def test_an_mp3_has_a_constant_128_kbit_per_second() -> None:
    data = b"".join(encode("mp3", chirp(10.0)))
    with av.open(io.BytesIO(data)) as file:
        assert isinstance(file, InputContainer)
        assert file.streams.audio[0].codec_context.bit_rate == 128_000
        sizes = [packet.size for packet in file.demux() if packet.size]
    assert max(sizes) - min(sizes) <= 1  # a frame is padded by a byte now and then


def test_samples_beyond_full_scale_are_clipped_and_do_not_wrap_around() -> None:
    loud = np.full(2400, 1.7, np.float32)
    assert decode("pcm", b"".join(encode("pcm", loud))).min() > 0.99


def test_an_encoder_that_is_given_up_leaves_nothing_open() -> None:
    for name in FORMATS:
        with AudioEncoder(name) as encoder:
            encoder.encode(chirp(0.2))
        with AudioEncoder(name):
            pass


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KeyError):
        AudioEncoder("midi")
