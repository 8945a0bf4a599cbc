"""A cache in front of the autorouter, as deploy/cdn sets it up, and edges that only tell how they are."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgpack
import pytest

from tests.e2e.services import descendants

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "cdn" / "nginx"
START_SECONDS = 10.0

ONTARIO, QUEBEC, NEW_YORK, NOWHERE = "127.0.1.{}", "127.0.2.{}", "127.0.3.{}", "127.0.4.{}"
"""Where callers are, by the address that they call from, in place of a GeoIP file."""

VIEWER = r"""
map $remote_addr $viewer_country {
    default       "";
    ~^127\.0\.1\. CA;
    ~^127\.0\.2\. CA;
    ~^127\.0\.3\. US;
}
map $remote_addr $viewer_subdivision {
    default       "";
    ~^127\.0\.1\. ON;
    ~^127\.0\.2\. QC;
    ~^127\.0\.3\. NY;
}
"""

MAIN = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=nearedge:10m inactive=1d use_temp_path=off;
    include viewer.conf;
    include origin.conf;
    include route.conf;
}}
"""

ORIGIN = """
upstream autorouter {{ server 127.0.0.1:{port}; keepalive 16; }}
map "" $origin_secret {{ default "{secret}"; }}
"""


def find_nginx() -> str:
    """Return nginx's path; without it the test is skipped, or fails where it must not be missing."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is not None:
        return found
    missing = "nginx is not installed: `apt-get install nginx`"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass(frozen=True)
class Cdn:
    """A running cache. What a caller sees of it depends on the address that he calls from."""

    port: int

    def ask(self, address: str, path: str = "/v1/route", **arguments: Any) -> httpx.Response:
        """Send a request from *address*, which is one of the loopback's."""
        transport = httpx.HTTPTransport(local_address=address)
        with httpx.Client(transport=transport, timeout=10) as client:
            return client.request(
                arguments.pop("method", "GET"), f"http://127.0.0.1:{self.port}{path}", **arguments
            )


@contextmanager
def cdn(folder: Path, port: int, autorouter_port: int, secret: str) -> Iterator[Cdn]:
    """Start nginx on *port* as deploy/cdn sets it up; only what is local to a machine is the test's."""
    nginx = find_nginx()
    folder.mkdir()
    shutil.copy(CONFIGURATION / "route.conf", folder)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    (folder / "viewer.conf").write_text(VIEWER)
    (folder / "origin.conf").write_text(ORIGIN.format(port=autorouter_port, secret=secret))
    (folder / "listen.conf").write_text(f"listen 127.0.0.1:{port};\n")
    command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait_until_it_listens(process, port)
            yield Cdn(port)
        finally:
            # Its workers too: nobody else ends them when it is killed.
            for left in descendants(process.pid):
                left.kill()


def _wait_until_it_listens(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.fail(f"nginx ended: {process.stderr.read()}")
        try:
            httpx.get(f"http://127.0.0.1:{port}/metrics")
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)


@contextmanager
def nothing_but(status: int, port: int) -> Iterator[None]:
    """Answer every GET on *port* with *status*."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class FakeEdge:
    """An edge that answers /internal/status and nothing else; it dies when it is told to."""

    def __init__(self, region: str, secret: str) -> None:
        status: dict[str, Any] = {"version": 1, "region": region, "draining": False, "models": []}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers["Authorization"] == f"Bearer {secret}"
                body = msgpack.packb(status) if known and self.path == "/internal/status" else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "application/msgpack")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.region = region
        self._status = status
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def serve(self, *models: str) -> None:
        """Tell of these *models* from now on, and of no other."""
        idle = {"state": "loaded", "in_flight": 0, "soft_limit": 4, "limit": 8}
        self._status["models"] = [{"id": model, "names": [model], **idle} for model in models]

    def die(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
