"""What cannot be spoken or heard is refused with words that help, and harms no worker."""

from typing import Any

import httpx
import pytest

from tests.e2e.bodies import GOOD, SPEECH, TRANSCRIPTIONS
from tests.e2e.errors import assert_error

pytestmark = pytest.mark.usefixtures("unharmed")

WHISPER = {"model": "whisper-tiny.en", "sync": "true"}
RECORDING = {"file": ("hello.wav", b"RIFF\x24\x00\x00\x00WAVE these are no samples at all", "audio/wav")}


@pytest.mark.parametrize("wanted", ["wav", "mp3", "aac", "flac"])
def test_formats_that_cannot_be_streamed(http: httpx.Client, wanted: str) -> None:
    body = GOOD[SPEECH] | {"response_format": wanted, "stream": True}

    assert_error(http.post(SPEECH, json=body), 400, f"{wanted} cannot be streamed; pcm and opus can")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("voice", ["nobody", "../../etc/passwd", "af_bella\x00", "x" * 100_000])
def test_an_unknown_voice_is_a_failed_synthesis(http: httpx.Client, voice: str, stream: bool) -> None:
    error = assert_error(
        http.post(SPEECH, json=GOOD[SPEECH] | {"voice": voice, "stream": stream}), 502, "voice"
    )

    assert error["param"] == "voice"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("text", ["…", "?!", "\x00", "🦆", "\u200b\u200b.", "()[]{}"])
def test_text_without_a_word(http: httpx.Client, text: str, stream: bool) -> None:
    error = assert_error(
        http.post(SPEECH, json=GOOD[SPEECH] | {"input": text, "stream": stream}), 400, "nothing that can be"
    )

    assert error["param"] == "input"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(b"\x00", id="a byte"),
        pytest.param(b"hello, this is text", id="text"),
        pytest.param(bytes(range(256)) * 400, id="noise"),
        pytest.param(b"ID3\x04\x00\x00\x00\x00\x00\x00" * 50, id="mp3 tags"),
        pytest.param(b"OggS" + b"\xff" * 5000, id="an ogg page"),
        pytest.param(b"fLaC" + b"\x00" * 5000, id="a flac header"),
        pytest.param(RECORDING["file"][1], id="a wav header"),
    ],
)
def test_audio_that_is_no_audio(http: httpx.Client, audio: bytes, stream: bool) -> None:
    how = {"stream": "true"} if stream else {"sync": "true"}
    answer = http.post(TRANSCRIPTIONS, params={"model": "whisper-1", **how}, files={"file": ("a.wav", audio)})

    assert_error(answer, 400, "audio|recording|sound")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"sync": "true"}, "speech-to-text model"),
        ({**WHISPER, "stream": "true"}, "sync and stream"),
        ({**WHISPER, "sync": "perhaps"}, "boolean"),
        ({**WHISPER, "response_format": "xml"}, "verbose_json"),
        ({**WHISPER, "temperature": "1.5"}, "less than or equal to 1"),
        ({**WHISPER, "temperature": "nan"}, "finite|less than"),
        ({**WHISPER, "temperature": "warm"}, "number"),
        ({**WHISPER, "model": "kokoro-82m"}, "cannot do this; whisper-tiny.en can"),
        ({**WHISPER, "language": "fr"}, "whisper-tiny.en understands en only, not 'fr'"),
        ({"model": "whisper-1", "language": "fr"}, "whisper-tiny.en understands en only, not 'fr'"),
        ({**WHISPER, "timestamp_granularities[]": "word"}, "set response_format to it"),
    ],
    ids=lambda value: "&".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_query_that_must_change(http: httpx.Client, params: dict[str, str], says: str) -> None:
    assert_error(http.post(TRANSCRIPTIONS, params=params, files=RECORDING), 400, says)


def test_an_unknown_transcription_model(http: httpx.Client) -> None:
    answer = http.post(TRANSCRIPTIONS, params={**WHISPER, "model": "whisper-9"}, files=RECORDING)

    assert_error(answer, 404, "/v1/models")


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        pytest.param({}, "multipart form", id="nothing"),
        pytest.param({"json": {"file": "hello.wav"}}, "multipart form", id="JSON"),
        pytest.param({"files": {"audio": ("a.wav", b"x")}}, "multipart form", id="no file"),
        pytest.param({"data": {"file": "hello.wav"}}, "multipart form", id="a file's name"),
        pytest.param({"files": {"file": ("a.wav", b"")}}, "file: .*(empty|1 byte)", id="an empty file"),
        pytest.param({"files": [("file", ("a.wav", b"x"))] * 2}, "Too many files", id="two files"),
        pytest.param(
            {"files": RECORDING, "data": {f"field{i}": "x" for i in range(100)}},
            "Too many fields",
            id="many fields",
        ),
        pytest.param(
            {"files": RECORDING, "data": {"prompt": "x" * 2_000_000}}, "maximum size", id="a long field"
        ),
        pytest.param(
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            "boundary",
            id="no boundary",
        ),
        pytest.param({"content": b"hello", "headers": MULTIPART}, "multipart", id="no parts"),
        pytest.param(
            {"content": b"--x\r\nnonsense\r\n\r\nabc\r\n--x--\r\n", "headers": MULTIPART},
            "multipart",
            id="a broken part",
        ),
        pytest.param(
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
                "headers": MULTIPART,
            },
            "multipart",
            id="a part without an end",
        ),
    ],
)
def test_a_form_that_must_change(http: httpx.Client, parts: dict[str, Any], says: str) -> None:
    assert_error(http.post(TRANSCRIPTIONS, params=WHISPER, **parts), 400, says)


def test_a_recording_above_the_limit(http: httpx.Client) -> None:
    answer = http.post(TRANSCRIPTIONS, params=WHISPER, files={"file": ("a.wav", bytes(27_000_000))})

    assert_error(answer, 413, "larger than the limit of 26214400 bytes")
