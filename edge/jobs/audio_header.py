"""What the first bytes of a recording tell: its format, and about how long it lasts."""

import struct
from dataclasses import dataclass
from pathlib import PurePath

KNOWN_SUFFIXES = {"mp3", "wav", "m4a", "mp4", "ogg", "oga", "opus", "flac", "webm", "aac"}

BYTES_PER_SECOND = {
    "aac": 16_000,
    "flac": 60_000,
    "m4a": 16_000,
    "mp3": 16_000,
    "ogg": 8_000,
    "wav": 32_000,
    "webm": 8_000,
}
"""Of usual recordings: where the header tells no length, it is guessed by them."""

_FALLBACK = 16_000


@dataclass(frozen=True, slots=True)
class AudioHeader:
    """``format`` is a file's usual suffix, ``unknown`` if nothing tells it; the length is a guess."""

    format: str
    estimated_seconds: float


def read_header(data: bytes, filename: str) -> AudioHeader:
    """Return what *data*, or else the name, tells. Never fails: the decoder finds out if it is audio."""
    kind = _kind(data) or _suffix(filename)
    exact = {"wav": _wav_seconds, "flac": _flac_seconds}.get(kind, _nothing)(data)
    guess = len(data) / BYTES_PER_SECOND.get(kind, _FALLBACK)
    return AudioHeader(kind, round(guess if exact is None else exact, 3))


def _kind(data: bytes) -> str | None:
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[4:8] == b"ftyp":
        return "m4a"
    for magic, kind in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1aE\xdf\xa3", "webm"), (b"ID3", "mp3")):
        if data.startswith(magic):
            return kind
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return "aac" if data[1] & 0xF6 == 0xF0 else "mp3"
    return None


def _suffix(filename: str) -> str:
    suffix = PurePath(filename).suffix.removeprefix(".").lower()
    return suffix if suffix in KNOWN_SUFFIXES else "unknown"


def _nothing(_data: bytes) -> float | None:
    return None


def _wav_seconds(data: bytes) -> float | None:
    place = data.find(b"fmt ", 12, 4096)
    if place < 0 or len(data) < place + 20:
        return None
    (bytes_per_second,) = struct.unpack_from("<I", data, place + 16)
    start = data.find(b"data", place, place + 65_536)
    if not bytes_per_second or start < 0:
        return None
    return (len(data) - start - 8) / float(bytes_per_second)


def _flac_seconds(data: bytes) -> float | None:
    if len(data) < 26:
        return None
    packed = int.from_bytes(data[18:26], "big")  # 20 bits rate, 3 channels, 5 width, 36 samples
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return samples / rate if rate and samples else None
