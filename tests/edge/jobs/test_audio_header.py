import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.audio import SPEECH_RATE
from edge.jobs import read_header
from tests.edge.engines.audio.files import encoded, muxed, wav
from tests.edge.engines.audio.signals import chirp

SECONDS = 20.0
SOUND = chirp(SECONDS)


@pytest.mark.parametrize(
    ("data", "kind", "tolerance"),
    [
        (encoded("wav", SOUND), "wav", 0.001),
        (wav(chirp(SECONDS, rate=8000), rate=8000, channels=2), "wav", 0.001),
        (encoded("flac", SOUND), "flac", 0.01),
        (encoded("mp3", SOUND), "mp3", 0.1),
        (encoded("opus", SOUND), "ogg", 0.7),
        (encoded("aac", SOUND), "aac", 0.7),
        (muxed("mp4", "aac", SOUND), "m4a", 0.7),
        (muxed("webm", "libopus", SOUND), "webm", 0.7),
    ],
    ids=["wav", "stereo", "flac", "mp3", "ogg", "aac", "m4a", "webm"],
)
def test_the_format_is_told_by_the_first_bytes(data: bytes, kind: str, tolerance: float) -> None:
    header = read_header(data, "misleading.txt")
    assert header.format == kind
    assert header.estimated_seconds == pytest.approx(SECONDS, rel=tolerance)


def test_the_name_tells_where_the_bytes_do_not() -> None:
    assert read_header(b"?" * 100, "talk.OGG").format == "ogg"
    assert read_header(b"?" * 100, "talk.exe").format == "unknown"
    assert read_header(b"?" * 32_000, "audio").estimated_seconds == 2.0


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"RIFF....WAVEfmt ", b"fLaC", b"OggS", b"ID3", b"\xff\xfb"]),
)
def test_any_bytes_have_some_length(data: bytes, magic: bytes) -> None:
    assert read_header(magic + data, "a").estimated_seconds >= 0


def test_an_empty_wav_is_short() -> None:
    data = wav(np.zeros(0, np.float32), rate=SPEECH_RATE)
    assert read_header(data, "a.wav").estimated_seconds == 0.0
