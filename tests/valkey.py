"""The Valkey or Redis that tests count in: the one on the standard port, with keys of their own."""

import os
import socket

import pytest

from tests.late_server import LateServer

HOST, PORT = "127.0.0.1", 6379
VALKEY_URL = f"redis://{HOST}:{PORT}/0"


def _reachable() -> bool:
    try:
        socket.create_connection((HOST, PORT), timeout=1).close()
    except OSError:
        return False
    return True


class LateStore(LateServer):
    """The Valkey of the tests, whose answers may come late."""

    def __init__(self) -> None:
        super().__init__(HOST, PORT)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


needs_valkey = pytest.mark.skipif(
    not os.environ.get("CI") and not _reachable(), reason=f"needs a Valkey or Redis at {HOST}:{PORT}"
)
"""Skips where there is none; under CI the tests run, and fail, all the same."""
