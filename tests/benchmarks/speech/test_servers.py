import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.llm.servers import NEAREDGE, ServerSpec, serving
from benchmarks.processes import BenchmarkError
from benchmarks.speech import raw
from benchmarks.speech.servers import RAW, Contender, contender

SERVER = """
import http.server, json, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/audio/transcriptions":
            self.answer(json.dumps({"text": body.decode("latin-1")}).encode())
        elif b"silence" in body:
            self.answer(b"")
        elif b"refuse" in body:
            self.answer(b"no such voice", 502)
        elif self.path == "/v1/audio/speech":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(2):
                self.wfile.write(b"%x\\r\\n" % 4800 + bytes(4800) + b"\\r\\n")
                self.wfile.flush()
                time.sleep(0.3)
            self.wfile.write(b"0\\r\\n\\r\\n")
        elif self.path == "/hear":
            self.answer(json.dumps({"seconds": 1.5, "text": body.decode()}).encode())
        else:
            self.answer(json.dumps({"seconds": 2.0, "first_seconds": 1.0, "audio_seconds": 4.0}).encode())

    def answer(self, data, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Contender]]:
    specs = [ServerSpec(name, (sys.executable, "-c", SERVER, "{port}"), {}) for name in (NEAREDGE, RAW)]
    with serving(specs, tmp_path_factory.mktemp("servers")) as running:
        yield {server.name: contender(server, voice="mouth", ear="ear") for server in running}


def test_sound_is_timed_as_it_comes(servers: dict[str, Contender]) -> None:
    found = servers[NEAREDGE].speak("hello")
    assert found.audio_seconds == pytest.approx(0.2)
    assert found.first_seconds < 0.3 < found.seconds
    # The first piece lasts 0.1 s and the second one comes 0.3 s after it.
    assert found.stalled_seconds == pytest.approx(0.2, abs=0.1)
    assert len(found.pcm) == 9600


def test_a_recording_is_sent_as_a_form(servers: dict[str, Contender]) -> None:
    found = servers[NEAREDGE].hear(b"RIFF")
    assert 'name="model"\r\n\r\near' in found.text
    assert "RIFF" in found.text
    assert found.seconds > 0


def test_the_raw_engine_tells_its_own_times(servers: dict[str, Contender]) -> None:
    assert servers[RAW].hear(b"RIFF").seconds == 1.5
    found = servers[RAW].speak("hello")
    assert (found.seconds, found.first_seconds, found.real_time_factor) == (2.0, 1.0, 0.5)


@pytest.mark.parametrize(("text", "told"), [("silence", "made no sound"), ("refuse", "502: no such voice")])
def test_a_server_that_does_not_speak_is_told(servers: dict[str, Contender], text: str, told: str) -> None:
    with pytest.raises(BenchmarkError, match=told):
        servers[NEAREDGE].speak(text)


def test_each_server_gets_the_names_that_it_knows(servers: dict[str, Contender]) -> None:
    assert servers[NEAREDGE].tts == {"model": "mouth"}
    assert servers[NEAREDGE].stt == {"model": "ear"}
    assert contender(servers[RAW].server, voice="mouth", ear="ear").tts == {"model": "kokoro"}


def test_the_raw_engine_reads_its_order(tmp_path: Path) -> None:
    order = raw.Order("/whisper", "/kokoro.onnx", "/voices.npz", 2)
    assert raw.Order(**json.loads(raw.write(order, tmp_path / "order.json").read_text())) == order
