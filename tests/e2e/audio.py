"""What sound files hold, and how near a transcript comes to what was said."""

import io
import re
from dataclasses import dataclass
from typing import Any

import av
import av.container
import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]

SENTENCE = "The quick brown fox jumps over the lazy dog while the sun is going down."


@dataclass(frozen=True)
class Sound:
    """A decoded file: ``codec`` and ``container`` as FFmpeg calls them, ``samples`` in [-1, 1], mono."""

    container: str
    codec: str
    rate: int
    samples: Samples

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def loudness(self) -> float:
        """Root mean square; silence is 0, speech some hundredths."""
        return float(np.sqrt(np.mean(np.square(self.samples))))


def decode(data: bytes) -> Sound:
    """Decode a whole sound file. Raises if it is broken anywhere."""
    with av.open(io.BytesIO(data)) as file:
        assert isinstance(file, av.container.InputContainer)
        stream = file.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
        frames = [piece for frame in file.decode(stream) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
        samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        return Sound(file.format.name, stream.codec_context.name, stream.rate, samples)


def from_pcm(data: bytes, rate: int = 24_000) -> Sound:
    """Read headerless 16-bit little-endian mono."""
    samples = np.frombuffer(data, "<i2").astype(np.float32)
    return Sound("pcm", "pcm_s16le", rate, samples / np.float32(32768))


def words(text: str) -> list[str]:
    """Return the words of *text* in small letters, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_error_rate(said: str, heard: str) -> float:
    """Return the edits (Levenshtein, in words) that turn *heard* into *said*, per word that was said."""
    wanted, got = words(said), words(heard)
    distances = list(range(len(got) + 1))
    for row, want in enumerate(wanted, 1):
        diagonal, distances[0] = distances[0], row
        for column, have in enumerate(got, 1):
            diagonal, distances[column] = (
                distances[column],
                min(distances[column] + 1, distances[column - 1] + 1, diagonal + (want != have)),
            )
    return distances[-1] / len(wanted)
