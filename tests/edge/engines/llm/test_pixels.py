import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.llm.pixels import decode_image
from edge.images import ImageError
from tests.edge.engines.llm.pictures import FORMATS, corners, image_file, noise

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def exif(orientation: int, order: str = "<") -> bytes:
    """Return the segment of a JPEG file that tells *orientation*."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(f"{order}HHHIHH", 2, 0x010F, 3, 1, 5, 0)
    entries += struct.pack(f"{order}HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    data = b"Exif\0\0" + mark + struct.pack(f"{order}I", 8) + entries
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def png_of(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG file that says it is so large, with *data* for its pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_decoded(kind: str) -> None:
    pixels = decode_image(image_file(corners(), kind))
    assert pixels.shape == (20, 32, 3)
    assert pixels.flags.c_contiguous
    for place, colour in (((2, 2), RED), ((2, 29), GREEN), ((17, 29), BLUE)):
        assert np.abs(pixels[place].astype(int) - colour).max() < 40


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, (RED, GREEN, BLUE, RED)),
        (2, (GREEN, RED, RED, BLUE)),
        (3, (BLUE, RED, RED, GREEN)),
        (4, (RED, BLUE, GREEN, RED)),
        (5, (RED, RED, BLUE, GREEN)),
        (6, (RED, RED, GREEN, BLUE)),
        (7, (BLUE, GREEN, RED, RED)),
        (8, (GREEN, BLUE, RED, RED)),
        (0, (RED, GREEN, BLUE, RED)),
        (9, (RED, GREEN, BLUE, RED)),
    ],
)
def test_photos_are_turned_as_they_were_held(
    orientation: int, seen: tuple[tuple[int, int, int], ...], order: str
) -> None:
    """*seen* are the corners from the top left one on, clockwise."""
    file = image_file(corners(), "jpeg")
    pixels = decode_image(file[:2] + exif(orientation, order) + file[2:])
    assert pixels.shape == ((32, 20, 3) if 5 <= orientation <= 8 else (20, 32, 3))
    for corner, colour in zip(
        (pixels[0, 0], pixels[0, -1], pixels[-1, -1], pixels[-1, 0]), seen, strict=True
    ):
        assert np.abs(corner.astype(int) - colour).max() < 40


def test_exif_data_that_end_early_change_nothing() -> None:
    file = image_file(corners(), "jpeg")
    for size in (0, 3, 9, 15):
        data = b"Exif\0\0" + b"II*\0\x08\0\0\0\xff\xff\x12\x01\x03"[:size]
        segment = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
        assert decode_image(file[:2] + segment + file[2:]).shape == (20, 32, 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a PNG"),
        (b"#EXTM3U\nfile:///etc/passwd", "not a PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "broken"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "broken"),
        (png_of(4, 4), "broken"),
        (png_of(4, 4, bytes(7)), "broken"),
        (png_of(100_000, 100_000, bytes(1000)), "100000 by 100000 pixels; the most is"),
        (png_of(2**31, 2**31), "pixels; the most is"),
        (png_of(1, 101, bytes(404)), "1 by 101 pixels; cut the strip"),
        (b"GIF89a" + struct.pack("<HH", 65535, 65535), "pixels; the most is"),
    ],
)
def test_what_cannot_be_used_says_why(data: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode_image(data)


def test_a_frame_that_is_larger_than_the_header_says_gets_no_more_room() -> None:
    file = bytearray(image_file(corners(), "gif"))
    at = file.index(b"\x2c")
    file[at + 5 : at + 9] = struct.pack("<HH", 65535, 65535)
    assert decode_image(bytes(file)).shape == (20, 32, 3)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp"])
def test_half_a_file_is_refused(kind: str) -> None:
    file = image_file(noise(40, 40), kind)
    with pytest.raises(ImageError, match=r"broken|cut off"):
        decode_image(file[: len(file) // 2])


@settings(deadline=None)  # a busy machine decodes late
@given(data=st.data(), kind=st.sampled_from(FORMATS))
def test_damaged_files_are_decoded_or_refused(data: st.DataObject, kind: str) -> None:
    file = bytearray(image_file(corners(), kind))
    for place in data.draw(st.lists(st.integers(0, len(file) - 1), max_size=8)):
        file[place] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_image(bytes(file))
    except ImageError:
        return
    assert pixels.ndim == 3
    assert pixels.dtype == np.uint8
