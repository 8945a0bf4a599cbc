"""An engine for every kind of request that does what the request's text says, without a model."""

import struct
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.engines.base import InvalidRequest, Job
from edge.workers.messages import (
    Audio,
    Embed,
    Event,
    Generate,
    Generated,
    Segment,
    Speak,
    Text,
    Transcribe,
    Transcribed,
    Vectors,
)


class ScriptedEngine:
    """Says ``refuse PARAM``, ``fail``, ``slow N`` or ``break`` make it do so; other text is its answer."""

    @property
    def info(self) -> dict[str, Any]:
        return {}

    def submit(self, job: Job) -> None:
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def _run(self, job: Job) -> None:
        error: Exception | None = None
        try:
            for event in answer(job):
                job.check()
                job.emit(event)
        except Exception as caught:  # noqa: BLE001 - as an engine does
            error = caught
        job.finish(error)


def answer(job: Job) -> Iterator[Event]:
    request = job.request
    script = script_of(request)
    word, _, argument = script.partition(" ")
    if word == "refuse":
        raise InvalidRequest(f"change {argument}", param=argument)
    if word == "fail":
        raise RuntimeError("secret of the engine")
    if word == "slow":
        time.sleep(float(argument))
    if isinstance(request, Generate):
        words = script.split(" ")
        for number, part in enumerate(words):
            yield Text(part if number == 0 else f" {part}")
            if part == "break":
                raise RuntimeError("secret of the engine")
        yield Generated("stop", 3, len(words), queue_ms=2.4, inference_ms=10.6)
    elif isinstance(request, Embed):
        rows = [(0.6, 0.8, 0.0)] * len(request.inputs)
        yield Vectors(b"".join(struct.pack("<3f", *row) for row in rows), 3, 5 * len(rows))
    elif isinstance(request, Speak):
        if word != "silence":
            yield Audio(f"{request.voice} {request.format} {request.speed} ".encode())
            if word == "break":
                raise RuntimeError("secret of the engine")
            yield Audio(script.encode())
    elif isinstance(request, Transcribe):
        for number, part in enumerate(script.split(" ")):
            if part == "break":
                raise RuntimeError("secret of the engine")
            yield Segment(number, 0, number * 1.5, number * 1.5 + 1.25, f" {part}", [1], 0.0, -0.1, 1.0, 0.01)
        yield Transcribed(request.language or "en", 3.25)


def script_of(request: Any) -> str:
    if isinstance(request, Generate):
        if request.messages is not None:
            return str(request.messages[-1]["content"])
        return request.prompt if isinstance(request.prompt, str) else "tokens"
    if isinstance(request, Embed):
        first = request.inputs[0]
        return first if isinstance(first, str) else "tokens"
    if isinstance(request, Speak):
        return request.text
    return bytes(request.audio).decode()


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> ScriptedEngine:
    return ScriptedEngine()
