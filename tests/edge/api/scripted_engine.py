"""An engine for every kind of request that does what the request's text says, without a model."""

import dataclasses
import json
import os
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
    Heard,
    Segment,
    Speak,
    Spoken,
    Text,
    ToolCall,
    Transcribe,
    Transcribed,
    Vectors,
)

VOICES = [
    {
        "id": "af_nova",
        "name": "Nova",
        "language": "en-US",
        "accent": "American",
        "gender": "female",
        "aliases": ["nova"],
    }
]

SPLIT = "€".encode()
"""A character of three bytes, which ``torn`` makes of two tokens."""


class ScriptedEngine:
    """Says ``refuse PARAM``, ``fail``, ``slow N`` or ``break`` make it do so; other text is its answer.

    ``order`` answers with the order itself as JSON, ``torn`` with a character of two tokens, ``call NAME``
    calls functions of these names, and ``vary`` says a word that is less likely with each seed.
    """

    @property
    def info(self) -> dict[str, Any]:
        return {"voices": VOICES}

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
        yield from generate(request, script)
    elif isinstance(request, Embed):
        dimensions = request.dimensions or 3
        if dimensions > 3:
            raise InvalidRequest("dimensions is at most 3", param="dimensions")
        row = struct.pack("<3f", 0.6, 0.8, 0.0)[: 4 * dimensions]
        yield Vectors(row * len(request.inputs), dimensions, 5 * len(request.inputs))
    elif isinstance(request, Speak):
        if word != "silence":
            yield Audio(f"{request.voice} {request.format} {request.speed} ".encode())
            if word == "break":
                raise RuntimeError("secret of the engine")
            yield Audio(script.encode())
        if word != "unended":
            yield Spoken(len(script), 1.25, queue_ms=2.4, inference_ms=10.6)
    elif isinstance(request, Transcribe):
        yield from transcribe(request, script)


def transcribe(request: Transcribe, script: str) -> Iterator[Event]:
    parts = script.split(" ")
    if script.startswith("order"):
        parts = [json.dumps(dataclasses.asdict(request) | {"audio": None})]
    yield Heard(0.0, 1.5 * len(parts))
    for number, part in enumerate(parts):
        if part == "break":
            raise RuntimeError("secret of the engine")
        if part.startswith("wait"):
            time.sleep(float(part.removeprefix("wait")))
        if part == "die":
            os._exit(1)
        start, end = number * 1.5, number * 1.5 + 1.25
        words = [[f" {part}", start, end, 0.5]] if request.words else None
        yield Segment(number, 0, start, end, f" {part}", [1], 0.0, -0.1, 1.0, 0.01, words)
    yield Transcribed(request.language or "en", 3.25)


def generate(request: Generate, script: str) -> Iterator[Event]:
    word, _, argument = script.partition(" ")
    if word == "order":
        yield Text(json.dumps(dataclasses.asdict(request), default=lambda data: data.decode("latin-1")), 1)
        yield Generated("stop", 3, 1, cached_tokens=2)
    elif word == "torn":
        yield Text("", 1, rows(request, SPLIT[:1]))
        yield Text(SPLIT.decode(), 1, rows(request, SPLIT[1:]))
        yield Text("!", 1, rows(request, b"!"))
        yield Generated("stop", 3, 3)
    elif word == "call":
        for index, name in enumerate(argument.split()):
            yield ToolCall(index, f"call_{index}", name, "", 1)
            yield ToolCall(index, None, None, '{"city": ', 1)
            yield ToolCall(index, None, None, '"Toronto"}', 1)
        yield Generated("tool_calls", 3, 3 * len(argument.split()))
    elif word == "vary":
        seed = request.seed or 0
        yield Text(f"seed {seed}", 1, rows(request, b"x", -abs(seed - 2) / 8))
        yield Generated("stop", 3, 1)
    else:
        words = script.split(" ")
        for number, part in enumerate(words):
            text = part if number == 0 else f" {part}"
            yield Text(text, 1, rows(request, text.encode()))
            if part == "break":
                raise RuntimeError("secret of the engine")
        yield Generated("stop", 3, len(words), queue_ms=2.4, inference_ms=10.6)


def rows(request: Generate, token: bytes, logprob: float = -0.5) -> list[list[Any]] | None:
    """Return the row of one *token*, with as many others beside it as *request* asks for."""
    if request.logprobs is None:
        return None
    others = [[number, f"<{number}>".encode(), -1.0 - number] for number in range(request.logprobs)]
    return [[7, token, logprob, others]]


def script_of(request: Any) -> str:
    if isinstance(request, Generate):
        if request.messages is not None:
            content = request.messages[-1]["content"]
            return str(content[0]["text"] if isinstance(content, list) else content)
        return request.prompt if isinstance(request.prompt, str) else "tokens"
    if isinstance(request, Embed):
        first = request.inputs[0]
        return first if isinstance(first, str) else "tokens"
    if isinstance(request, Speak):
        return request.text
    return bytes(request.audio).decode()


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> ScriptedEngine:
    return ScriptedEngine()
