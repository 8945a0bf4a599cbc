"""Jobs outlive the process that took them, and never fill the disk or the memory."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import openai
import psutil
import pytest
from polargrid import PolarGridSync, ValidationError
from polargrid.types import TranslationResponse

from edge.engines.tts.hibari import load as load_hibari
from tests.e2e.audio import decode, word_error_rate, words
from tests.e2e.grids import Grid
from tests.e2e.services import LoneEdge
from tests.edge.engines.audio.files import encoded
from tests.edge.engines.foreign import SPANISH, say
from tests.edge.engines.stt.test_engine import STORY, read
from tests.models import pulled

URL = "/v1/audio/transcriptions"
TURNS = 3
"""How often the long recording tells its story: about two minutes."""


@pytest.fixture(scope="module")
def long_recording() -> bytes:
    model, files = pulled("hibari")
    reader = load_hibari(files, dict(model.options) | {"threads": 2})
    return encoded("flac", np.tile(read(reader, STORY), TURNS))


def status(client: httpx.Client, job_id: str) -> dict[str, object]:
    answer = client.get(URL, params={"job_id": job_id})
    assert answer.status_code in (200, 202), answer.text
    body: dict[str, object] = answer.json()
    return body


def wait(client: httpx.Client, job_id: str, state: str) -> dict[str, object]:
    deadline = time.monotonic() + 90
    while (body := status(client, job_id))["status"] != state:
        assert body["status"] in ("accepted", "processing"), body
        assert time.monotonic() < deadline, body
        time.sleep(0.1)
    return body


def test_a_job_survives_kill_and_restart(
    lone_edge: Callable[..., AbstractContextManager[LoneEdge]], long_recording: bytes, tmp_path: Path
) -> None:
    files = {"file": ("long.flac", long_recording)}
    audio = tmp_path / "jobs" / "yul-01" / "audio"
    with lone_edge(edge_models="whisper-tiny.en") as edge:
        headers = {"Authorization": f"Bearer {edge.key}"}
        with edge.client() as client:
            done = client.post(
                URL, params={"model": "whisper-1"}, files={"file": long_recording[:1000]}
            ).json()
            job_id = client.post(URL, params={"model": "whisper-1"}, files=files).json()["job_id"]
            wait(client, job_id, "processing")
        edge.service.process.send_signal(signal.SIGKILL)
        edge.service.process.wait(10)
    assert [file.name for file in audio.iterdir()] == [job_id]
    with lone_edge(edge_models="whisper-tiny.en") as edge:
        with edge.client() as client:
            client.headers.update(headers)
            wait(client, job_id, "processing")
        edge.service.stop()
    assert [file.name for file in audio.iterdir()] == [job_id]
    with lone_edge(edge_models="whisper-tiny.en") as edge, edge.client() as client:
        client.headers.update(headers)
        body = wait(client, job_id, "completed")
        assert word_error_rate(" ".join([STORY] * TURNS), str(body["text"])) <= 0.1
        assert body["duration"] == pytest.approx(decode(long_recording).seconds, abs=0.2)
        assert status(client, job_id) == body
        assert status(client, done["job_id"])["status"] in ("completed", "failed")
        assert list(audio.iterdir()) == []
        edge.service.stop()


def test_a_short_recording_does_not_wait_for_a_long_job(
    http: httpx.Client, recording: bytes, long_recording: bytes
) -> None:
    query = {"model": "whisper-1"}
    job_id = http.post(URL, params=query, files={"file": long_recording}).json()["job_id"]
    wait(http, job_id, "processing")
    short = http.post(URL, params=query | {"sync": "true"}, files={"file": recording})

    assert "quick brown fox" in short.json()["text"]
    assert status(http, job_id)["status"] == "processing"
    assert http.delete(URL, params={"job_id": job_id}).json()["status"] == "cancelled"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_model_of_many_languages_translates(
    lone_edge: Callable[..., AbstractContextManager[LoneEdge]],
) -> None:
    pulled("whisper-base")
    recording = encoded("mp3", say(SPANISH))
    with lone_edge(edge_models="whisper-base", edge_audio_limit_minutes=0.1) as edge:
        with openai.OpenAI(base_url=f"{edge.url}/v1", api_key=edge.key, max_retries=0) as client:
            said = client.audio.transcriptions.create(
                model="whisper-base", file=("a.mp3", recording), response_format="verbose_json"
            )
            english = client.audio.translations.create(model="whisper-base", file=("a.mp3", recording))
        sdk = PolarGridSync(api_key=edge.key, base_url=edge.url, timeout=60, max_retries=0)
        subtitles = sdk.translate(recording, {"model": "openai/whisper-base", "response_format": "srt"})
        plain = sdk.translate(recording, {"model": "whisper-base", "response_format": "text"})
        with pytest.raises(ValidationError, match="longer than the limit of 6 seconds"):
            sdk.transcribe(encoded("mp3", np.zeros(7 * 24_000, np.float32)), {"model": "whisper-base"})
        edge.service.stop()

    assert said.language == "es"
    assert "casa" in said.text
    assert SPANISH.meaning <= set(words(english.text))
    assert isinstance(subtitles, TranslationResponse)
    assert subtitles.text.startswith("1\n00:00:0")
    assert isinstance(plain, str)
    assert SPANISH.meaning <= set(words(plain))


def test_an_endless_upload_meets_the_limit_and_not_the_memory(http: httpx.Client, grid: Grid) -> None:
    def endless() -> Iterator[bytes]:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        yield head
        while True:
            yield bytes(1 << 20)

    edge = psutil.Process(grid.edge_pid("yto-01"))
    before = edge.memory_info().rss
    answer = http.post(
        URL,
        params={"model": "whisper-1", "sync": "true"},
        content=endless(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413
    assert "26214400" in answer.json()["detail"]
    assert edge.memory_info().rss - before < 64_000_000
