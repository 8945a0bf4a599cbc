import io
import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from shared import logs
from shared.http import access_log
from tests.shared.services import Service, serving


@dataclass(frozen=True, slots=True)
class Certificate:
    cert: Path
    key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate that signs itself, for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.fail("the tests of TLS make a certificate with the openssl command, which is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(made.key), "-out", str(made.cert), "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return made


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that the tests of one session share: none may leave anything in it."""
    with serving(tmp_path_factory.mktemp("service"), "2.0", body_read_seconds=1) as running:
        yield running


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Write JSON log lines, and return a function that takes those written so far."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    # A logger keeps the configuration that it first wrote with.
    monkeypatch.setattr(access_log, "log", structlog.get_logger("access"))
    logs.configure("info", "json")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    written = io.StringIO()
    handler.setStream(written)

    def take() -> list[dict[str, Any]]:
        lines = [orjson.loads(line) for line in written.getvalue().splitlines()]
        written.seek(0)
        written.truncate()
        return lines

    yield take
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
