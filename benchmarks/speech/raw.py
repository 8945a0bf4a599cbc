"""The engines as a script would call them: no gateway, no queue, no encoder.

``python -m benchmarks.speech.raw PORT ORDER`` loads the models that the JSON file ORDER names, answers on the
loopback, and measures each call here, from the bytes or the text to the last of the engine's answer.
"""

import io
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
SPEECH_RATE = 24_000


@dataclass(frozen=True, slots=True)
class Order:
    """Absolute paths: a directory for CTranslate2, an ONNX file and its voices."""

    whisper: str
    kokoro: str
    voices: str
    threads: int


class Ear:
    """faster-whisper with the options that the edge gives it."""

    def __init__(self, order: Order) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(
            order.whisper,
            device="cpu",
            compute_type="int8",
            cpu_threads=order.threads,
            local_files_only=True,
        )

    def hear(self, audio: bytes) -> dict[str, Any]:
        started = time.perf_counter()
        segments, _ = self._model.transcribe(
            io.BytesIO(audio), language="en", beam_size=5, vad_filter=True, condition_on_previous_text=False
        )
        text = "".join(segment.text for segment in segments)
        return {"seconds": time.perf_counter() - started, "text": text}


class Mouth:
    """Kokoro's graph in onnxruntime's own settings but for the threads, sentence by sentence."""

    def __init__(self, order: Order) -> None:
        import numpy as np
        import onnxruntime as ort

        from edge.engines.tts.phonemes import Phonemizer

        options = ort.SessionOptions()
        options.intra_op_num_threads = order.threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(order.kokoro, options, providers=["CPUExecutionProvider"])
        with np.load(order.voices, allow_pickle=False) as styles:
            self._styles = {name: styles[name] for name in styles.files}
        self._phonemizer = Phonemizer(british=False)

    def speak(self, text: str, voice: str) -> dict[str, Any]:
        import numpy as np

        from edge.engines.tts.sentences import split_sentences

        started = time.perf_counter()
        first, samples = 0.0, 0
        for sentence in split_sentences(text):
            tokens = self._phonemizer(sentence.text)
            inputs = {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": self._styles[voice][len(tokens) - 1 : len(tokens)],
                "speed": np.ones(1, np.float32),
            }
            (audio,) = self._session.run(["audio"], inputs)
            samples += audio.size
            first = first or time.perf_counter() - started
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "first_seconds": first, "audio_seconds": samples / SPEECH_RATE}


def handler(ear: Ear, mouth: Mouth) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"status": "ok"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/hear":
                self._answer(ear.hear(body))
            else:
                self._answer(mouth.speak(**json.loads(body)))

        def _answer(self, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: Any) -> None:
            pass

    return Handler


def write(order: Order, file: Path) -> Path:
    file.write_text(json.dumps(asdict(order)), "utf-8")
    return file


def main() -> int:
    from edge.workers.child import SPIN_COUNT

    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # as in a worker process
    order = Order(**json.loads(Path(sys.argv[2]).read_text("utf-8")))
    server = HTTPServer((HOST, int(sys.argv[1])), handler(Ear(order), Mouth(order)))
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
