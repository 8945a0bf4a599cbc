"""The bytes of an audio or video file to samples."""

import io
import logging
from collections.abc import Callable, Iterator

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from edge.engines.base import InvalidRequest

log = logging.getLogger(__name__)

HEARING_RATE = 16_000
"""Samples per second that speech recognition works with."""

CONTAINERS = (
    "aac",
    "aiff",
    "amr",
    "ape",
    "asf",
    "au",
    "avi",
    "caf",
    "flac",
    "flv",
    "matroska",
    "webm",
    "mov",
    "mp4",
    "m4a",
    "3gp",
    "3g2",
    "mp3",
    "mpeg",
    "mpegts",
    "ogg",
    "tta",
    "w64",
    "wav",
    "wv",
)
"""The only demuxers that an upload may reach. FFmpeg has others that open files and addresses which the
upload names (playlists, ``concat``, ``hls``, ``dash``, ``sdp``), or that take any bytes for sound."""

MAX_FRAME_SAMPLES = 1_000_000
"""Most samples that one packet may unpack to; real codecs stay under 100,000."""


SLACK_SECONDS = 1.0
"""How much more than the limit may go into the resampler: codecs pad, and files round."""


def _is_audio_decoder(name: str) -> bool:
    try:
        return av.Codec(name, "r").type == "audio"
    except av.codec.codec.UnknownCodecError:
        return False


_OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    # Without it, opening a file also decodes some of its pictures to see what they are.
    "codec_whitelist": ",".join(sorted(filter(_is_audio_decoder, av.codecs_available))),
}


_NO_LAYOUT = " channels"
"""How FFmpeg ends the name of a layout that it knows no places of channels for, and so does not mix."""


def _mixed(frame: av.AudioFrame) -> av.AudioFrame:
    """Return *frame* with the mean of its channels as its one channel."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    mean = samples.mean(axis=0, dtype=np.float64)
    if samples.dtype == np.uint8:
        mean = (mean - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        mean /= 2.0 ** (8 * samples.itemsize - 1)
    mixed = av.AudioFrame.from_ndarray(mean.astype(np.float32)[np.newaxis], format="flt", layout="mono")
    mixed.sample_rate = frame.sample_rate
    return mixed


class _Resampler:
    """To 16 kHz mono s16, also when the format of the frames changes on the way."""

    def __init__(self) -> None:
        self._resampler = av.AudioResampler("s16", "mono", HEARING_RATE)
        self._input: tuple[str, str, int] | None = None

    def feed(self, frame: av.AudioFrame | None) -> Iterator[av.AudioFrame]:
        """Yield what *frame* gives; None asks for the rest."""
        if frame is not None:
            frame = _mixed(frame) if frame.layout.name.endswith(_NO_LAYOUT) else frame
            frame.pts = None  # gaps and jumps in a file's timestamps are no reason to refuse it
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if self._input not in (None, form):
                yield from self._resampler.resample(None)
                self._resampler = av.AudioResampler("s16", "mono", HEARING_RATE)
            self._input = form
        yield from self._resampler.resample(frame)


def decode(data: bytes, *, max_seconds: float, check: Callable[[], None]) -> NDArray[np.int16]:
    """Return the first audio stream of the file *data* as mono samples at 16 kHz.

    A damaged file gives what can be decoded of it. *check* is called now and then and may raise.

    Raises:
        InvalidRequest: it is no audio, or lasts longer than *max_seconds*.
    """
    return np.concatenate(list(decoded(data, max_seconds=max_seconds, check=check)))


def decoded(data: bytes, *, max_seconds: float, check: Callable[[], None]) -> Iterator[NDArray[np.int16]]:
    """Yield what :func:`decode` returns piece by piece, as it is decoded.

    Raises:
        InvalidRequest: as ``decode`` does, perhaps after some pieces.
    """
    if not data:
        raise InvalidRequest("The audio file is empty", param="file")
    limit = _Limit(max_seconds)
    try:
        with av.open(
            io.BytesIO(data), "r", container_options=dict(_OPTIONS), metadata_errors="ignore"
        ) as container:
            for frame in _frames(container, limit, check):
                part = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
                limit.count_heard(len(part))
                yield part
    except (av.FFmpegError, ValueError) as error:
        log.info("audio refused: %s", error)
    if not limit.heard:
        raise InvalidRequest(
            "The file holds no audio that can be decoded; send mp3, wav, m4a, ogg, flac or webm", param="file"
        )


class _Limit:
    """Counts the audio before it is resampled and after it, and refuses what is too much of either.

    Before counts too: a few samples of a file that claims one sample per second fill gigabytes at 16 kHz.
    """

    def __init__(self, max_seconds: float) -> None:
        self.heard = 0
        """Samples at ``HEARING_RATE`` so far."""
        self._max_seconds = max_seconds
        self._seconds = 0.0

    def count(self, frame: av.AudioFrame) -> None:
        self._seconds += frame.samples / max(1, frame.sample_rate)
        if self._seconds > self._max_seconds + SLACK_SECONDS:
            self._refuse()

    def count_heard(self, samples: int) -> None:
        self.heard += samples
        if self.heard > self._max_seconds * HEARING_RATE:
            self._refuse()

    def _refuse(self) -> None:
        raise InvalidRequest(
            f"The audio lasts longer than the limit of {in_words(self._max_seconds)}; split it", param="file"
        )


def in_words(seconds: float) -> str:
    """Return a length of time as people say it: ``60 minutes``, ``90 seconds``."""
    return f"{seconds / 60:g} minutes" if seconds >= 120 and seconds % 60 == 0 else f"{seconds:g} seconds"


def _frames(container: InputContainer, limit: _Limit, check: Callable[[], None]) -> Iterator[av.AudioFrame]:
    # A stream of a codec that FFmpeg does not know has no context.
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        raise InvalidRequest("The file holds no audio stream that can be decoded", param="file")
    stream = streams[0]
    stream.codec_context.options = {"max_samples": str(MAX_FRAME_SAMPLES)}
    stream.codec_context.thread_count = 1
    resampler = _Resampler()
    for packet in container.demux(stream):
        check()
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            limit.count(frame)
            yield from resampler.feed(frame)
    yield from resampler.feed(None)
