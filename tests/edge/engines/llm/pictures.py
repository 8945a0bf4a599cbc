"""Image files for tests."""

import io

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_ENCODERS = {
    "png": ("png", "rgb24", "image2pipe"),
    "jpeg": ("mjpeg", "yuvj444p", "image2pipe"),
    "gif": ("gif", "rgb8", "gif"),
    "webp": ("libwebp", "bgra", "webp"),
    "bmp": ("bmp", "bgr24", "image2pipe"),
}
FORMATS = tuple(_ENCODERS)


def corners(height: int = 20, width: int = 32) -> Pixels:
    """Return a picture, red on its left, green above and blue below on its right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = 255, 0, 0
    pixels[: height // 2, width // 2 :] = 0, 255, 0
    pixels[height // 2 :, width // 2 :] = 0, 0, 255
    return pixels


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def image_file(pixels: Pixels, kind: str = "png") -> bytes:
    """Return *pixels* as a file of *kind*, one of ``FORMATS``."""
    encoder, pixel_format, container_format = _ENCODERS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, _ = pixels.shape
        stream.pix_fmt = pixel_format
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()
