"""The formats that speech can leave in. Plain data: importing it loads no native library."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SPEECH_RATE = 24_000
"""Samples per second of all speech before it is encoded."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How FFmpeg makes one format: its names for muxer, encoder and sample format, rate in samples/s.

    ``content_type`` is what an HTTP answer calls it.
    ``streams`` says that the file can be sent while it is made. ``bit_rate`` is in bits/s, None where
    the codec has none. ``run_up`` says that the file cannot mark the encoder's silent first frame as such,
    so that frame is left out; what follows it then fades in within 40 ms.
    """

    content_type: str
    container: str
    codec: str
    sample_format: str
    rate: int = SPEECH_RATE
    bit_rate: int | None = None
    streams: bool = False
    run_up: bool = False
    muxer_options: tuple[tuple[str, str], ...] = ()


FORMATS: Mapping[str, AudioFormat] = MappingProxyType(
    {
        "pcm": AudioFormat("audio/pcm", "s16le", "pcm_s16le", "s16", streams=True),
        "wav": AudioFormat("audio/wav", "wav", "pcm_s16le", "s16"),
        "mp3": AudioFormat("audio/mpeg", "mp3", "libmp3lame", "s16p", bit_rate=128_000),
        # Opus works at 48 kHz whatever it is fed; at another rate FFmpeg writes a wrong pre-skip.
        # A page holds at most 0.1 s, so that little of a finished sentence waits for the next one.
        "opus": AudioFormat(
            "audio/ogg",
            "ogg",
            "libopus",
            "s16",
            rate=48_000,
            bit_rate=48_000,
            streams=True,
            muxer_options=(("page_duration", "100000"),),
        ),
        "aac": AudioFormat("audio/aac", "adts", "aac", "fltp", bit_rate=64_000, run_up=True),
        "flac": AudioFormat("audio/flac", "flac", "flac", "s16"),
    }
)
"""By the name that a request gives as ``response_format``. All are mono."""
