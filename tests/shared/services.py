"""Starts ``tests.shared.tiny_service`` and looks inside it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: ``port`` on the loopback, and the file of its log."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    scheme: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def errors(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["level"] not in ("info", "debug")]

    def inside(self) -> dict[str, int]:
        found: dict[str, int] = httpx.get(f"{self.url}/inside").json()
        return found

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(folder: Path, *arguments: str, **settings: object) -> Iterator[Service]:
    """Start a service with *settings*, and see on leaving that it is gone."""
    given = {f"NEAREDGE_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEAREDGE_")}
    log = folder / "service.log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "tests.shared.tiny_service", *arguments],
            cwd=ROOT,
            env=environment | given,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            assert port, log.read_text()
            service = Service(process, int(port), log, "https" if "tls_cert" in settings else "http")
            # Its handlers of signals are in place once it answers.
            httpx.get(f"{service.url}/health", verify=False, timeout=30).raise_for_status()
            yield service
        finally:
            process.kill()


def read_all(connection: socket.socket) -> bytes:
    """Return everything up to the orderly end of *connection*."""
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


def eventually(true: Callable[[], bool], within_seconds: float = 5.0) -> bool:
    """Return whether *true* becomes true in time."""
    deadline = time.monotonic() + within_seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
