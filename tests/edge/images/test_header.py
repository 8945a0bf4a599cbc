import io
import time
from collections.abc import Callable
from functools import partial

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.images import Header, ImageError, read_header
from tests.edge.images.files import bmp, gif, jpeg, png, webp

MAKERS: dict[str, Callable[[int, int], bytes]] = {
    "png": png,
    "jpeg": jpeg,
    "gif": gif,
    "bmp": bmp,
    "webp": webp,
    "webp VP8L": partial(webp, kind=b"VP8L"),
    "webp VP8": partial(webp, kind=b"VP8 "),
}


@pytest.mark.parametrize("name", MAKERS)
def test_size_and_format_are_read(name: str) -> None:
    assert read_header(MAKERS[name](640, 480)) == Header(name.split()[0], 640, 480)


@pytest.mark.parametrize(
    ("codec", "container"), [("png", "png"), ("mjpeg", "jpeg"), ("bmp", "bmp"), ("gif", "gif")]
)
def test_files_of_a_real_encoder_are_read(codec: str, container: str) -> None:
    written = io.BytesIO()
    with av.open(written, "w", format="gif" if codec == "gif" else "image2pipe") as output:
        stream = output.add_stream(codec, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 37, 21
        assert stream.codec_context.codec.video_formats is not None
        stream.pix_fmt = stream.codec_context.codec.video_formats[0].name
        frame = av.VideoFrame.from_ndarray(np.zeros((21, 37, 3), np.uint8), format="rgb24")
        for packet in (*stream.encode(frame.reformat(format=stream.pix_fmt)), *stream.encode(None)):
            output.mux(packet)
    assert read_header(written.getvalue()) == Header(container, 37, 21)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"%PDF-1.7", b"\0" * 100, b"\x89PN", b"II*\0"])
def test_what_is_no_image_is_told(data: bytes) -> None:
    with pytest.raises(ImageError, match="PNG, JPEG, GIF, WebP or BMP"):
        read_header(data)


@pytest.mark.parametrize("name", MAKERS)
def test_no_beginning_of_a_file_is_more_than_broken(name: str) -> None:
    whole = MAKERS[name](640, 480)
    for length in range(len(whole)):
        try:
            header = read_header(whole[:length])
        except ImageError:
            continue
        assert (header.width, header.height) == (640, 480)


@pytest.mark.parametrize("make", [png, gif, bmp])
def test_an_image_without_pixels_is_broken(make: Callable[[int, int], bytes]) -> None:
    with pytest.raises(ImageError, match="broken"):
        read_header(make(0, 5))


@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF", b"BM"]),
    st.binary(max_size=64),
)
def test_any_bytes_are_read_or_refused(magic: bytes, rest: bytes) -> None:
    try:
        header = read_header(magic + rest)
    except ImageError:
        return
    assert header.width >= 1
    assert header.height >= 1


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\x01", b"\xff\xe0\x00\x02"])
def test_a_file_of_markers_is_given_up_soon(filling: bytes) -> None:
    data = b"\xff\xd8\xff" + filling * (10_000_000 // len(filling))
    started = time.process_time()
    with pytest.raises(ImageError, match="broken"):
        read_header(data)
    assert time.process_time() - started < 0.2
