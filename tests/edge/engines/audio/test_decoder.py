import contextlib
import io
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.engines.audio import SPEECH_RATE
from edge.engines.audio.decoder import HEARING_RATE, decode
from edge.engines.audio.encoder import AudioEncoder
from edge.engines.base import Cancelled, InvalidRequest
from tests.edge.engines.audio.files import encoded, float_wav, muxed, silent_film, wav
from tests.edge.engines.audio.signals import best_correlation, chirp

SOUND = chirp(1.5)


def heard(data: bytes, *, max_seconds: float = 60) -> NDArray[np.float32]:
    return decode(data, max_seconds=max_seconds, check=lambda: None).astype(np.float32) / np.float32(32768)


def refusal(data: bytes, *, max_seconds: float = 60) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        heard(data, max_seconds=max_seconds)
    assert caught.value.param == "file"
    return caught.value


def assert_sounds_like(samples: NDArray[np.float32], *, seconds: float = 1.5) -> None:
    assert len(samples) / HEARING_RATE == pytest.approx(seconds, abs=0.1)
    wanted = chirp(seconds, rate=HEARING_RATE)
    assert best_correlation(wanted, np.pad(samples, (0, 2000)), max_lag=1500) > 0.95


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "aac", "flac"])
def test_what_speech_leaves_in_can_be_heard(name: str) -> None:
    assert_sounds_like(heard(encoded(name, SOUND)))


@pytest.mark.parametrize(
    ("container", "codec", "video"),
    [
        ("mp4", "aac", None),
        ("mp4", "aac", "mpeg4"),
        ("matroska", "libopus", "mpeg4"),
        ("webm", "libopus", None),
        ("mov", "alac", None),
        ("avi", "libmp3lame", "mjpeg"),
        ("mpegts", "mp2", None),
        ("ogg", "flac", None),
        ("aiff", "pcm_s16be", None),
        ("caf", "pcm_s16le", None),
        ("au", "pcm_mulaw", None),
        ("w64", "pcm_s24le", None),
        ("tta", "tta", None),
        ("wv", "wavpack", None),
    ],
)
def test_the_sound_of_any_usual_container_is_found(container: str, codec: str, video: str | None) -> None:
    assert_sounds_like(heard(muxed(container, codec, SOUND, video=video)))


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_any_rate_and_any_number_of_channels(rate: int, channels: int) -> None:
    assert_sounds_like(heard(wav(chirp(0.5, rate=rate), rate=rate, channels=channels)), seconds=0.5)


@pytest.mark.parametrize("channels", [9, 11, 20, 32, 64])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_channels_whose_places_nobody_knows_are_mixed(channels: int, width: int) -> None:
    data = wav(chirp(0.5, rate=16_000), rate=16_000, channels=channels, width=width)
    assert_sounds_like(heard(data), seconds=0.5)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_any_sample_width(width: int) -> None:
    assert_sounds_like(heard(wav(chirp(0.5, rate=16_000), rate=16_000, width=width)), seconds=0.5)


def test_files_behind_each_other_are_heard_to_the_end() -> None:
    chained = encoded("opus", SOUND) + encoded("opus", SOUND)
    assert len(heard(chained)) / HEARING_RATE == pytest.approx(3.0, abs=0.1)


def test_a_file_cut_short_gives_what_is_there() -> None:
    data = encoded("mp3", chirp(4.0))
    assert len(heard(data[: len(data) // 2])) / HEARING_RATE == pytest.approx(2.0, abs=0.2)


def test_samples_that_are_no_numbers_do_no_harm() -> None:
    samples = SOUND.copy()
    samples[100:200] = np.nan
    samples[300] = np.inf
    assert np.abs(heard(float_wav(samples))).max() <= 1.0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"this is text and no sound\n" * 200,
        b'{"audio": "no"}',
        b"%PDF-1.7\n" + np.random.default_rng(1).bytes(20_000),
        b"\x89PNG\r\n\x1a\n" + np.random.default_rng(2).bytes(20_000),
        b"\xff\xd8\xff\xe0" + np.random.default_rng(3).bytes(20_000),
        b"PK\x03\x04" + np.random.default_rng(4).bytes(20_000),
        np.random.default_rng(5).bytes(100_000),
        bytes(100_000),
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"OggS" + bytes(100),
        b"fLaC" + bytes(100),
        b"ID3\x04" + bytes(100),
    ],
    ids=lambda data: ascii(data[:8]),
)
def test_what_is_no_audio_is_refused(data: bytes) -> None:
    assert "audio" in str(refusal(data))


def test_a_video_without_sound_is_refused() -> None:
    assert "no audio stream" in str(refusal(silent_film()))


def test_a_stream_of_an_unknown_codec_is_refused() -> None:
    data = bytearray(encoded("wav", SOUND))
    data[20:22] = b"\x77\x77"
    assert "no audio stream" in str(refusal(bytes(data)))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert len(heard(data))


def test_an_upload_cannot_make_the_decoder_open_another_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encoded("wav", SOUND))
    refusal(f"ffconcat version 1.0\nfile '{secret}'\n".encode())
    refusal(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode())


def test_an_upload_cannot_make_the_decoder_use_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        refusal(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n".encode()
        )
        started = time.perf_counter()
        refusal(b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n")
        assert time.perf_counter() - started < 1
        with pytest.raises(BlockingIOError):
            server.accept()


def test_audio_longer_than_the_limit_is_refused_by_its_length() -> None:
    data = encoded("mp3", chirp(5.0))
    assert len(heard(data, max_seconds=6)) > 0
    assert "4 seconds" in str(refusal(data, max_seconds=4))


def flac_of_an_hour() -> bytes:
    minute = np.zeros(60 * SPEECH_RATE, np.float32)
    with AudioEncoder("flac") as encoder:
        for _ in range(60):
            encoder.encode(minute)
        return encoder.close()


def endless_wav() -> bytes:
    """A header that announces four gigabytes, as a recorder writes it into a pipe, and some of them."""
    data = bytearray(wav(np.zeros(600 * 8000, np.float32), rate=8000))
    data[4:8] = b"\xff" * 4
    data[40:44] = b"\xff" * 4
    return bytes(data)


BOMBS = {
    "an hour of silence in a flac": flac_of_an_hour,
    "one sample a second": lambda: wav(np.zeros(2_000_000, np.float32), rate=1),
    "a hundred samples a second": lambda: wav(np.zeros(2_000_000, np.float32), rate=100),
    "a wav without an end": endless_wav,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_meets_the_limit_and_not_the_memory(name: str) -> None:
    bomb = BOMBS[name]()
    assert len(bomb) < 10_000_000
    code = (
        "import sys, resource\n"
        "from edge.engines.audio.decoder import decode\n"
        "from edge.engines.base import InvalidRequest\n"
        "data = sys.stdin.buffer.read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    decode(data, max_seconds=60, check=lambda: None)\n"
        "except InvalidRequest as error:\n"
        "    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=bomb, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    refusal, grown_kib = done.stdout.decode().splitlines()
    assert "the limit of 60 seconds" in refusal
    assert int(grown_kib) < 40_000  # an hour is 115 MB


@pytest.mark.parametrize("layout", ["5.0", "7.1", "quad", "hexagonal", "2.1", "downmix"])
def test_odd_layouts_of_channels(layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("flac", rate=SPEECH_RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            (np.repeat(SOUND, channels)[np.newaxis] * 32767).astype(np.int16), format="s16", layout=layout
        )
        frame.sample_rate = SPEECH_RATE
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    assert_sounds_like(heard(file.getvalue()))


def test_a_caller_who_leaves_stops_the_decoding() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        decode(encoded("mp3", chirp(5.0)), max_seconds=60, check=check)


def test_damaged_files_never_take_the_process_down() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.edge.engines.audio.mutations", "2026", "200"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    decoded, refused = map(int, done.stdout.split())
    assert decoded + refused == 200
    assert decoded > 20, "the damage is so great that little of the decoders is reached"
    assert refused > 20
