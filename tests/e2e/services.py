"""The product's processes, started as a user starts them, and what they leave behind."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

START_SECONDS = 600.0
"""How long a start may take: the very first one fetches the models."""

STOP_SECONDS = 60.0
TIMEOUT_SECONDS = 120.0
KEPT = {"NEAREDGE_CACHE"}
"""The one setting of whoever runs the tests that counts: where the models already are."""

_INHERITED = dict(os.environ)

FOREIGN = ("NEAREDGE_", "OPENAI_", "POLARGRID_", "NEXT_PUBLIC_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


def is_foreign(variable: str) -> bool:
    """Whether an environment variable could change what a test sees."""
    return variable not in KEPT and (variable.startswith(FOREIGN) or variable.lower() in PROXIES)


def environment(**settings: object) -> dict[str, str]:
    """Return an environment with *settings*, and without those of whoever runs the tests.

    Proxies stay: the models of a first start may only be reachable through one.
    """
    inherited = {k: v for k, v in _INHERITED.items() if k.lower() in PROXIES or not is_foreign(k)}
    return inherited | {f"NEAREDGE_{name.upper()}": str(value) for name, value in settings.items()}


def command(*arguments: object) -> list[str]:
    """Return the command line of ``nearedge`` with *arguments*."""
    return [sys.executable, "-m", "nearedge", *map(str, arguments)]


def run(*arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run ``nearedge`` to its end."""
    return subprocess.run(
        command(*arguments),
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def create_key(home: Path, *scopes: str) -> dict[str, str]:
    """Make a key with ``nearedge keys create``; the answer has ``id`` and ``key``."""
    options = [option for scope in scopes for option in ("--scope", scope)]
    done = run("keys", "create", "--home", home, "--json", *options)
    assert done.returncode == 0, done.stderr
    made: dict[str, str] = json.loads(done.stdout)
    return made


def free_ports(count: int) -> int:
    """Return the first of *count* ports in a row that are free now."""
    for _ in range(100):
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            try:
                for number in range(port + 1, port + count):
                    socket.create_server(("127.0.0.1", number)).close()
            except (OSError, OverflowError):
                continue
        return port
    raise AssertionError(f"no {count} free ports in a row")


@dataclass
class Service:
    """A running ``nearedge`` command. ``log`` is the file that its stderr goes to."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text("utf-8", "replace")[-8000:]

    def read_line(self, seconds: float = START_SECONDS) -> str:
        """Return the first line of stdout."""
        assert self.process.stdout is not None
        line = b""
        deadline = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"nothing on stdout within {seconds:g} s; the log ends with\n{self.tail()}"
            piece = os.read(self.process.stdout.fileno(), 65536)
            assert piece, f"ended with {self.process.wait(STOP_SECONDS)}; the log ends with\n{self.tail()}"
            line += piece
        return line.decode()

    def wait_until_healthy(self, url: str, seconds: float = TIMEOUT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not is_healthy(url):
            assert self.process.poll() is None, f"ended; the log ends with\n{self.tail()}"
            assert time.monotonic() < deadline, f"not healthy; the log ends with\n{self.tail()}"
            time.sleep(0.05)

    def family(self) -> list[psutil.Process]:
        """Return every process below this one."""
        return psutil.Process(self.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell the service to stop; see that it ends well, alone and in silence."""
        family = self.family()
        self.process.send_signal(number)
        self.expect_end(family)

    def expect_end(self, family: list[psutil.Process]) -> None:
        """See that the service ends with status 0, prints nothing more, and takes *family* with it."""
        rest, _ = self.process.communicate(timeout=STOP_SECONDS)
        assert self.process.returncode == 0, self.tail()
        assert rest == b""
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == [], self.tail()


@dataclass(frozen=True)
class LoneEdge:
    """An edge without a grid, and a key for it."""

    url: str
    key: str
    service: Service

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_SECONDS)


@contextmanager
def service(log: Path, *arguments: object, **settings: object) -> Iterator[Service]:
    """Start ``nearedge`` with *arguments*. Whatever a test does with it, nothing of it is left after it."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command(*arguments), env=environment(**settings), stdout=subprocess.PIPE, stderr=stderr
        )
    with process:
        try:
            yield Service(process, log)
        finally:
            leftovers = descendants(process.pid)
            for leftover in leftovers:
                leftover.kill()
            psutil.wait_procs(leftovers, timeout=5)


def descendants(pid: int) -> list[psutil.Process]:
    """Return the process *pid* and all below it, none if it has ended."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def is_healthy(url: str) -> bool:
    """Whether the service at *url* answers and has all its models loaded."""
    try:
        answer = httpx.get(f"{url}/health", trust_env=False, timeout=TIMEOUT_SECONDS)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json()["status"] == "healthy"


def workers(edge_pid: int) -> list[psutil.Process]:
    """Return the worker processes of the edge with this process id."""
    children = psutil.Process(edge_pid).children()
    return [child for child in children if "edge.workers.child" in child.cmdline()]
