"""Who is measured, and how each is asked: all over HTTP on the loopback."""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from benchmarks.llm.servers import NEAREDGE, Server, ServerSpec, create_key
from benchmarks.processes import BenchmarkError
from benchmarks.speech import raw
from benchmarks.speech.peers import Peers, voices_for_kokoro_server
from nearedge.playback import Playback

HOST = "127.0.0.1"
ASK_SECONDS = 180.0
RAW = "raw engine"
WHISPER_SERVER = "faster-whisper-server"
KOKORO_SERVER = "fastkokoro"
VOICE = "af_bella"
COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,"
"""A model goes on with this for as long as it may."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript and how long it took."""

    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """How long the whole sound took and the first of it, how much there is, and for how long it would have
    stalled if played as it came; ``pcm`` is empty for the raw engine."""

    seconds: float
    first_seconds: float
    audio_seconds: float
    stalled_seconds: float = 0.0
    pcm: bytes = b""

    @property
    def real_time_factor(self) -> float:
        return self.seconds / self.audio_seconds


@dataclass(frozen=True, slots=True)
class Contender:
    """A running server. ``tts`` and ``stt`` are what its bodies and forms hold besides the input."""

    server: Server
    tts: Mapping[str, Any] = field(default_factory=dict)
    stt: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def process(self) -> psutil.Process:
        return self.server.process

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server.port}"

    def hear(self, audio: bytes) -> Heard:
        """Have the WAV file *audio* transcribed. Raises BenchmarkError if it is not."""
        with self._client() as http:
            if self.name == RAW:
                return Heard(**_body(http.post("/hear", content=audio)))
            started = time.perf_counter()
            answer = http.post("/v1/audio/transcriptions", data=self.stt, files={"file": ("a.wav", audio)})
            seconds = time.perf_counter() - started
            return Heard(seconds, _body(answer)["text"])

    def speak(self, text: str, voice: str = VOICE) -> Spoken:
        """Have *text* spoken, streamed as PCM. Raises BenchmarkError if it is not."""
        with self._client() as http:
            if self.name == RAW:
                return Spoken(**_body(http.post("/speak", json={"text": text, "voice": voice})))
            body = {**self.tts, "input": text, "voice": voice, "response_format": "pcm", "stream": True}
            played, pcm = Playback(), bytearray()
            started = time.perf_counter()
            with http.stream("POST", "/v1/audio/speech", json=body) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    _body(answer)
                for piece in answer.iter_raw():
                    played.take(piece, time.perf_counter())
                    pcm += piece
            seconds = time.perf_counter() - started
            if played.first_at is None:
                raise BenchmarkError(f"{self.name} made no sound")
            first = played.first_at - started
            return Spoken(seconds, first, played.seconds, played.stalled_seconds, bytes(pcm))

    def chat(self, model: str, tokens: int) -> float:
        """Have *model* write *tokens* tokens, and return how many seconds that takes.

        Raises BenchmarkError if it does not, or writes another number.
        """
        body = {"model": model, "prompt": COUNTING, "max_tokens": tokens, "temperature": 0}
        with self._client() as http:
            started = time.perf_counter()
            answer = http.post("/v1/completions", json=body)
            seconds = time.perf_counter() - started
            if (written := _body(answer)["usage"]["completion_tokens"]) != tokens:
                raise BenchmarkError(f"{self.name} wrote {written} tokens, not {tokens}")
            return seconds

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers=self.server.spec.headers, trust_env=False, timeout=ASK_SECONDS
        )


def _body(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise BenchmarkError(f"{answer.request.url} was answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body


def nearedge(scratch: Path, models: Sequence[str], *, name: str = NEAREDGE, **settings: object) -> ServerSpec:
    """Return an edge that serves *models*, without limits, under *settings* and else as it comes."""
    home = Path(tempfile.mkdtemp(dir=scratch, prefix="home-"))
    given = {"edge_models": ",".join(models), "edge_requests_per_minute": 0, **settings}
    return ServerSpec(
        name=name,
        command=(
            *(sys.executable, "-m", "nearedge", "edge"),
            *("--host", HOST, "--port", "{port}", "--home", str(home)),
        ),
        extra={},
        environment={f"NEAREDGE_{key.upper()}": str(value) for key, value in given.items()},
        headers={"Authorization": f"Bearer {create_key(home)}"},
    )


def raw_engine(scratch: Path, order: raw.Order) -> ServerSpec:
    """Return the process that calls the engines of *order* directly."""
    file = raw.write(order, scratch / "raw-order.json")
    return ServerSpec(
        RAW, (sys.executable, "-m", "benchmarks.speech.raw", "{port}", str(file)), {}, health="/health"
    )


def whisper_server(scratch: Path, peers: Peers, model: Path, threads: int) -> ServerSpec:
    """Return faster-whisper-server on the directory *model*, with the options that the edge uses."""
    file = scratch / "faster-whisper-server.yaml"
    config = {
        "name": "whisper-1",
        "path": str(model),
        "model_options": {
            "device": "cpu",
            "compute_type": "int8",
            "cpu_threads": threads,
            "local_files_only": True,
        },
        "transcribe_options": {
            "language": "en",
            "beam_size": 5,
            "vad_filter": True,
            "condition_on_previous_text": False,
        },
    }
    file.write_text(yaml.safe_dump({"models": [config]}), "utf-8")
    return ServerSpec(
        WHISPER_SERVER,
        (str(peers.whisper_server), "--config", str(file), "--host", HOST, "--port", "{port}"),
        {},
    )


def kokoro_server(scratch: Path, peers: Peers, files: Mapping[str, Path], threads: int) -> ServerSpec:
    """Return fastkokoro on the edge's model *files*. Its port comes from its environment: ``env`` sets it."""
    voices = voices_for_kokoro_server(files["voices"], scratch / "fastkokoro-voices.npz")
    settings = {
        "HF_HUB_OFFLINE": "1",
        "FASTKOKORO_HOST": HOST,
        "FASTKOKORO_MODEL_PATH": str(files["model"]),
        "FASTKOKORO_VOICES_PATH": str(voices),
        "FASTKOKORO_CACHE_DIR": str(scratch / "fastkokoro"),
        "FASTKOKORO_ONNX_INTRA_OP_NUM_THREADS": str(threads),
    }
    return ServerSpec(
        KOKORO_SERVER,
        ("env", "FASTKOKORO_PORT={port}", str(peers.kokoro_server)),
        {},
        environment=settings,
    )


def contender(server: Server, *, voice: str, ear: str) -> Contender:
    """Return *server* with the names that it gives the models *voice* and *ear*."""
    if server.name.startswith(NEAREDGE):
        return Contender(server, {"model": voice}, {"model": ear})
    return Contender(server, {"model": "kokoro"}, {"model_name": "whisper-1"})
