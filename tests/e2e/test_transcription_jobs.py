"""Jobs outlive the process that took them, and never fill the disk or the memory."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.e2e.audio import SENTENCE, decode, word_error_rate
from tests.e2e.services import LoneEdge
from tests.edge.engines.audio.files import encoded

URL = "/v1/audio/transcriptions"
TURNS = 24
"""How often the recording says its sentence: about two minutes of speech."""


@pytest.fixture
def long_recording(recording: bytes) -> bytes:
    sound = decode(recording)
    return encoded("flac", np.tile(sound.samples, TURNS))


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
        assert word_error_rate(" ".join([SENTENCE] * TURNS), str(body["text"])) <= 0.05
        assert body["duration"] == pytest.approx(decode(long_recording).seconds, abs=0.2)
        assert status(client, job_id) == body
        assert status(client, done["job_id"])["status"] in ("completed", "failed")
        assert list(audio.iterdir()) == []
        edge.service.stop()


def test_a_short_recording_does_not_wait_for_a_long_job(
    http: httpx.Client, recording: bytes, long_recording: bytes
) -> None:
    started = time.monotonic()
    alone = http.post(URL, params={"model": "whisper-1", "sync": "true"}, files={"file": recording})
    alone_seconds = time.monotonic() - started
    job_id = http.post(URL, params={"model": "whisper-1"}, files={"file": long_recording}).json()["job_id"]
    wait(http, job_id, "processing")
    started = time.monotonic()
    beside = http.post(URL, params={"model": "whisper-1", "sync": "true"}, files={"file": recording})
    beside_seconds = time.monotonic() - started

    assert status(http, job_id)["status"] == "processing"
    assert http.delete(URL, params={"job_id": job_id}).json()["status"] == "cancelled"
    assert alone.json()["text"] == beside.json()["text"]
    assert beside_seconds < alone_seconds + 6  # a window of the job before it, one between its steps


def test_an_endless_upload_meets_the_limit_and_not_the_memory(http: httpx.Client, grid: object) -> None:
    def endless() -> object:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        yield head
        while True:
            yield bytes(1 << 20)

    edge = psutil.Process(grid.edge_pid("yto-01"))  # type: ignore[attr-defined]
    before = edge.memory_info().rss
    answer = http.post(
        URL,
        params={"model": "whisper-1", "sync": "true"},
        content=endless(),  # type: ignore[arg-type]
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413
    assert "26214400" in answer.json()["detail"]
    assert edge.memory_info().rss - before < 64_000_000
