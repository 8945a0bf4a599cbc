"""The bytes of an image file to pixels."""

import io
import logging
import struct

import av
import numpy as np
from numpy.typing import NDArray

from edge.images.errors import ImageError
from edge.images.header import read_header
from edge.images.source import MAX_PIXELS

log = logging.getLogger(__name__)

MAX_RATIO = 100
"""Of the sides to each other. No picture is longer, and projectors cut long strips into many tiles."""

_DEMUXERS = {"png": "png_pipe", "jpeg": "jpeg_pipe", "gif": "gif", "webp": "webp_pipe", "bmp": "bmp_pipe"}
"""FFmpeg is told what to read: left to guess, it opens files and addresses that the bytes name."""

_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"

_OPTIONS = {
    "codec_whitelist": "png,mjpeg,gif,webp,bmp",
    "max_pixels": str(MAX_PIXELS),  # a file may hold frames that are larger than its header says
    "err_detect": "explode",
}


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Return the first picture of the file *data* as RGB of shape (height, width, 3).

    Transparency is dropped; a photo is turned as its Exif data say.

    Raises:
        ImageError: it is no whole PNG, JPEG, GIF, WebP or BMP file, has more than ``MAX_PIXELS``, or one side
            is more than ``MAX_RATIO`` times the other. The header tells these before anything is decoded.
    """
    header = read_header(data)
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(f"it has {header.width} by {header.height} pixels; the most is {MAX_PIXELS}")
    if max(header.width, header.height) > MAX_RATIO * min(header.width, header.height):
        raise ImageError(f"it has {header.width} by {header.height} pixels; cut the strip into pieces")
    if header.format == "jpeg" and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        raise ImageError("its file is cut off")  # FFmpeg paints the rest grey
    try:
        with av.open(
            io.BytesIO(data), "r", format=_DEMUXERS[header.format], options=dict(_OPTIONS)
        ) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            pixels = next(container.decode(stream)).to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError, IndexError, StopIteration) as error:
        log.info("image refused: %s", error)
        raise ImageError(f"it is broken: it begins as a {header.format} file and cannot be decoded") from None
    turned = _upright(np.asarray(pixels, np.uint8), _orientation(data) if header.format == "jpeg" else 1)
    return np.ascontiguousarray(turned)


_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112


def _orientation(data: bytes) -> int:
    """Return the Exif orientation of a JPEG file, 1 to 8; 1 is upright and what counts if it tells none."""
    at = data.find(_EXIF, 0, 65_536) + len(_EXIF)
    tiff = data[at : at + 65_536] if at >= len(_EXIF) else b""
    order = ">" if tiff.startswith(b"MM") else "<"
    try:
        (entries,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, entries)
        for entry in range(entries + 2, entries + 2 + 12 * min(count, 256), 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return *pixels* as seen: 2 to 4 are mirrored or upside down, 5 to 8 lie on their side."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    down = -1 if orientation in {3, 4, 7, 8} else 1
    across = -1 if orientation in {2, 3, 6, 7} else 1
    return pixels[::down, ::across]
