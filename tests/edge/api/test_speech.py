import subprocess
import sys
from typing import Any

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from edge.engines.audio.formats import FORMATS


def speak(client: TestClient, text: str = "hello", **fields: Any) -> Any:
    return client.post("/v1/audio/speech", json={"model": "tts-1", "input": text, "voice": "nova"} | fields)


@pytest.mark.parametrize("wanted", list(FORMATS))
def test_each_format_has_its_type(client: TestClient, wanted: str) -> None:
    response = speak(client, response_format=wanted)
    assert response.content == f"nova {wanted} 1.0 hello".encode()
    assert response.headers["content-type"] == FORMATS[wanted].content_type
    assert response.headers["X-Provocapi-Model"] == "kokoro-82m"
    assert response.headers["X-Pg-Inference-Ms"] == "11"
    assert response.headers["X-Provocapi-Queue-Ms"] == "2"
    assert response.headers["X-Pg-Characters"] == "5"
    assert response.headers["X-Pg-Audio-Seconds"] == "1.250"


def test_pcm_is_the_default(client: TestClient) -> None:
    assert speak(client, speed=1.5).content == b"nova pcm 1.5 hello"


@pytest.mark.parametrize("wanted", [None, "pcm", "opus"])
def test_streams(client: TestClient, wanted: str | None) -> None:
    response = speak(client, stream=True, response_format=wanted)
    assert response.content == f"nova {wanted or 'pcm'} 1.0 hello".encode()
    assert "content-length" not in response.headers
    assert int(response.headers["X-Pg-First-Byte-Ms"]) >= 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "status"), [("refuse voice", 502), ("refuse input", 400), ("fail", 502), ("silence", 502)]
)
def test_no_sound_is_never_a_success(client: TestClient, text: str, status: int, stream: bool) -> None:
    response = speak(client, text, stream=stream)
    assert response.status_code == status
    assert response.json()["detail"]
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"voice": ""}, "voice"),
        ({"voice": None}, "voice"),
        ({"speed": 0.2}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"response_format": "midi"}, "response_format"),
        ({"stream": True, "response_format": "mp3"}, "response_format"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"model": "whisper-1"}, "model"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, fields: dict[str, Any], param: str) -> None:
    response = speak(client, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_speech_without_its_end_is_no_file(client: TestClient) -> None:
    assert speak(client, "unended").status_code == 502


def test_what_other_models_take_is_taken(client: TestClient) -> None:
    fields: dict[str, Any] = {
        "language": "fr",
        "voice_transcript": "hello",
        "instructions": "be kind",
        "speed": None,
    }
    assert speak(client, **fields).content == b"nova pcm 1.0 hello"


def test_the_document_lists_every_format(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schema = document["components"]["schemas"]["SpeechRequest"]["properties"]["response_format"]
    assert schema["anyOf"][0]["enum"] == list(FORMATS)
    answers = document["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert set(answers) == {audio.content_type for audio in FORMATS.values()}


def test_knowing_the_formats_loads_no_native_library() -> None:
    program = "import sys, edge.api.requests; sys.exit('av' in sys.modules or 'onnxruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_speech_that_breaks_off_is_no_success_and_ends_without_a_traceback(client: TestClient) -> None:
    with capture_logs() as logs:
        response = speak(client, "break", stream=True)
    assert response.content == b"nova pcm 1.0 "
    assert [line["log_level"] for line in logs if line["event"] != "request"] == ["warning"]
