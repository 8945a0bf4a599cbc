import http.client
import subprocess
import sys
import time
from contextlib import closing

from benchmarks.gateway.stub_engine import ANSWER
from benchmarks.processes import free_port


def test_requests_on_one_connection_are_answered_whatever_pieces_they_come_in() -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.gateway.stub_server", str(port)]
    with subprocess.Popen(command) as process:
        try:
            with closing(connect(port)) as connection:
                for size in (0, 10, 100_000):
                    connection.request("POST", "/v1/chat/completions", b"x" * size)
                    answer = connection.getresponse()
                    assert answer.status == 200
                    assert ANSWER in answer.read().decode()
        finally:
            process.terminate()


def connect(port: int) -> http.client.HTTPConnection:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.connect()
        except ConnectionRefusedError:
            connection.close()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return connection
