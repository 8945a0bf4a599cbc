"""The process that pulls one model: ``python -m edge.models.pull_child ID CACHE [CATALOGUE]``.

It writes a JSON object per line: ``{"label", "done", "total"}`` in bytes, ``{"say"}``, and at last
``{"error"}`` if it fails. It ends when its standard input closes.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from edge.models import CatalogueError, load_catalogue, pull
from shared.artifacts import ArtifactError, Meter, Progress

EVERY_SECONDS = 0.5
MAX_MESSAGE = 4000


def write(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


class _Told(Progress):
    @contextmanager
    def meter(self, label: str, total_bytes: int | None = None) -> Iterator[Meter]:
        write({"label": label, "done": 0, "total": total_bytes})
        yield _Line(label)

    def say(self, message: str) -> None:
        write({"say": message[:MAX_MESSAGE]})


class _Line(Meter):
    def __init__(self, label: str) -> None:
        self._label = label
        self._told = 0.0

    def show(self, done_bytes: int, total_bytes: int | None) -> None:
        if time.monotonic() - self._told >= EVERY_SECONDS:
            self._told = time.monotonic()
            write({"label": self._label, "done": done_bytes, "total": total_bytes})


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def main(model_id: str, cache: str, catalogue: str | None = None) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        model = load_catalogue(Path(catalogue) if catalogue is not None else None).resolve(model_id)
        if model is None:
            raise CatalogueError(f"the catalogue has no model {model_id!r}")
        pull(model, Path(cache), _Told())
    except (ArtifactError, CatalogueError) as error:
        write({"error": str(error)[:MAX_MESSAGE]})
        return 1
    return 0


if __name__ == "__main__":
    # The thread that waits for the parent holds standard input's lock: an ordered exit would stumble over it.
    status = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)
