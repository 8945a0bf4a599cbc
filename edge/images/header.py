"""What the first bytes of an image file tell, read without decoding it."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from edge.images.errors import ImageError


@dataclass(frozen=True, slots=True)
class Header:
    """``format`` is png, jpeg, gif, webp or bmp; sizes in pixels."""

    format: str
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """Return the format and size of the image file *data*.

    Raises:
        ImageError: it is none of the known formats, or broken at its beginning.
    """
    for magic, read in _READERS.items():
        if data.startswith(magic):
            try:
                header = read(data)
            except (struct.error, IndexError):
                break
            if header.width < 1 or header.height < 1:
                break
            return header
    else:
        raise ImageError("it is not a PNG, JPEG, GIF, WebP or BMP file")
    raise ImageError("its file is broken or cut off")


def _png(data: bytes) -> Header:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR" or length != 13:
        raise IndexError
    return Header("png", width, height)


def _gif(data: bytes) -> Header:
    return Header("gif", *struct.unpack_from("<HH", data, 6))


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return Header("bmp", width, abs(height))  # a negative height means that the rows go down


def _webp(data: bytes) -> Header:
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        raise IndexError
    if kind == b"VP8X":
        return Header(
            "webp",
            1 + int.from_bytes(_exactly(data, 24, 3), "little"),
            1 + int.from_bytes(_exactly(data, 27, 3), "little"),
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 " and _exactly(data, 23, 3) == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("webp", width & 0x3FFF, height & 0x3FFF)
    raise IndexError


def _exactly(data: bytes, start: int, count: int) -> bytes:
    if len(data) < start + count:
        raise IndexError
    return data[start : start + count]


_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""
_MAX_SEGMENTS = 10_000
"""Before the frame; files have a few dozen."""


def _jpeg(data: bytes) -> Header:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if data[at] != 0xFF:
            raise IndexError
        at += 1
        marker = data[at]
        if marker == 0xFF:  # any number of these may stand before a marker
            continue
        at += 1
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return Header("jpeg", width, height)
        if marker in {0xD9, 0xDA}:
            raise IndexError
        if marker not in _ALONE:
            (length,) = struct.unpack_from(">H", data, at)
            at += max(length, 2)
    raise IndexError


_READERS: dict[bytes, Callable[[bytes], Header]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
    b"RIFF": _webp,
    b"BM": _bmp,
}
