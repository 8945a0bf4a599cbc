"""An engine that does what its prompt says, to drive a real worker process without a model."""

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.engines.base import InvalidRequest, Job
from edge.workers.messages import Generate, Generated, Text


class ScriptedEngine:
    """Every job runs on a thread of its own, so that many are under way at once."""

    @property
    def info(self) -> dict[str, Any]:
        return {"context_tokens": 7}

    def submit(self, job: Job) -> None:
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def _run(self, job: Job) -> None:
        assert isinstance(job.request, Generate)
        assert isinstance(job.request.prompt, str)
        word, _, argument = job.request.prompt.partition(" ")
        error: Exception | None = None
        try:
            self._act(job, word, argument)
        except Exception as caught:  # noqa: BLE001 - as an engine does
            error = caught
        job.finish(error)

    def _act(self, job: Job, word: str, argument: str) -> None:
        match word:
            case "say":
                for character in argument:
                    job.emit(Text(character))
                job.emit(Generated("stop", 1, len(argument)))
            case "forever":
                file = Path(argument) if argument else None
                while True:
                    job.emit(Text("."))
                    time.sleep(0.01)
                    if job.cancelled and file:
                        file.write_text("cancelled")
                    job.check()
            case "flood":
                for _ in range(int(argument)):
                    job.emit(Text("x"))
            case "refuse":
                raise InvalidRequest(argument, param="prompt")
            case "fail":
                raise RuntimeError(argument)
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
                time.sleep(10)
            case "stubborn":
                job.emit(Text("."))
                time.sleep(float(argument))
            case "wait":
                while not job.cancelled:
                    time.sleep(0.01)


def load(files: Mapping[str, Path], options: Mapping[str, Any]) -> ScriptedEngine:
    if "sleep" in options:
        time.sleep(options["sleep"])
    if "fail" in options:
        raise ValueError(options["fail"])
    if "die" in options:
        os.abort()
    marker = files.get("die_once")
    if marker is not None and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    marker = files.get("fail_once")
    if marker is not None and not marker.exists():
        marker.touch()
        raise ValueError("not yet")
    return ScriptedEngine()
