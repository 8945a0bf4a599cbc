"""Files of many kinds, made on the spot."""

import io
import struct
import wave
from fractions import Fraction

import av
import numpy as np
from av.audio import AudioStream
from av.container import OutputContainer
from av.video import VideoStream
from numpy.typing import NDArray

from edge.engines.audio import SPEECH_RATE
from edge.engines.audio.encoder import AudioEncoder


def encoded(name: str, samples: NDArray[np.float32]) -> bytes:
    """A file of one of the formats that speech leaves in."""
    with AudioEncoder(name) as encoder:
        return encoder.encode(samples) + encoder.close()


def wav(samples: NDArray[np.float32], *, rate: int, channels: int = 1, width: int = 2) -> bytes:
    """A WAV with the same sound in every channel, *width* bytes per sample."""
    scaled = np.repeat(samples, channels).astype(np.float64) * (2 ** (8 * width - 1) - 1)
    if width == 1:
        frames = (scaled + 128).astype("u1").tobytes()
    else:
        frames = b"".join(
            value.to_bytes(width, "little", signed=True) for value in scaled.astype(int).tolist()
        )
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        writer.writeframes(frames)
    return file.getvalue()


def float_wav(samples: NDArray[np.float32], *, rate: int = 16_000) -> bytes:
    """A WAV of 32-bit floats."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<IHHIIHH", 16, 3, 1, rate, rate * 4, 4, 32)
    return b"".join(
        [
            b"RIFF",
            struct.pack("<I", 36 + len(data)),
            b"WAVEfmt ",
            form,
            b"data",
            struct.pack("<I", len(data)),
            data,
        ]
    )


def muxed(container: str, codec: str, samples: NDArray[np.float32], *, video: str | None = None) -> bytes:
    """A file with one audio stream and, in front of it, a little *video* if a codec is named."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        pictures = _add_video(output, video) if video else None
        sound = output.add_stream(codec, rate=48_000 if codec == "libopus" else SPEECH_RATE)
        assert isinstance(sound, AudioStream)
        sound.codec_context.layout = "mono"
        if pictures:
            _film(output, pictures)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = SPEECH_RATE
        frame.time_base = Fraction(1, SPEECH_RATE)
        frame.pts = 0
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return file.getvalue()


def silent_film() -> bytes:
    """An MP4 with video only."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        _film(output, _add_video(output, "mpeg4"))
    return file.getvalue()


def _add_video(output: OutputContainer, codec: str) -> VideoStream:
    stream = output.add_stream(codec, rate=10)
    assert isinstance(stream, VideoStream)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return stream


def _film(output: OutputContainer, stream: VideoStream) -> None:
    assert stream.pix_fmt is not None
    for index in range(5):
        picture = av.VideoFrame(64, 64, stream.pix_fmt)
        picture.pts = index
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))
