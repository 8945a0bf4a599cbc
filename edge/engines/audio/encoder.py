"""Samples to the bytes of an audio file."""

import io
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from edge.engines.audio.formats import FORMATS, SPEECH_RATE


class _Pipe:
    """What FFmpeg writes to when the file leaves while it is made: it cannot seek."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class _Store(io.BytesIO):
    """What FFmpeg writes to when headers are filled in at the end."""

    def take(self) -> bytes:
        return b""


class AudioEncoder:
    """Encodes mono speech, 24,000 float32 samples per second in -1 to 1, as one file of *name*.

    Use it as a context manager, so that the native encoder is freed also when the work is given up.

    Raises:
        KeyError: there is no format *name*.
    """

    def __init__(self, name: str) -> None:
        self._format = form = FORMATS[name]
        self._sink: _Pipe | _Store = _Pipe() if form.streams else _Store()
        self._container = av.open(
            self._sink,
            "w",
            format=form.container,
            # bitexact leaves out the muxer's version, and with it a chunk that moves WAV's data off byte 44.
            container_options={"fflags": "+bitexact", **dict(form.muxer_options)},
        )
        stream = self._container.add_stream(form.codec, rate=form.rate)
        assert isinstance(stream, AudioStream)
        self._stream = stream
        context = stream.codec_context
        context.format = form.sample_format
        context.layout = "mono"
        if form.bit_rate is not None:
            context.bit_rate = form.bit_rate
        self._position = 0

    def encode(self, samples: NDArray[np.float32]) -> bytes:
        """Append *samples* and return the bytes that are ready to be sent, often none."""
        if len(samples):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples, np.float32)[np.newaxis], format="flt", layout="mono"
            )
            frame.sample_rate = SPEECH_RATE
            frame.time_base = Fraction(1, SPEECH_RATE)
            frame.pts = self._position
            self._position += len(samples)
            self._mux(self._stream.encode(frame))
        return self._sink.take()

    def close(self) -> bytes:
        """End the file and return the rest of its bytes; all of them if the format does not stream."""
        self._mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take() if isinstance(self._sink, _Pipe) else self._sink.getvalue()

    def _mux(self, packets: "list[Packet[AudioStream]]") -> None:
        for packet in packets:
            if not (self._format.run_up and packet.pts is not None and packet.pts < 0):
                self._container.mux(packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._container.close()
