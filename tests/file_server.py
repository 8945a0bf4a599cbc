"""A small HTTP server on the loopback that serves files in every way a real one may, also badly."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType


@dataclass
class Served:
    """One path. ``cut_at`` lists after how many bytes the answers break off, one per request."""

    body: bytes = b""
    etag: str | None = None
    ranges: bool = True
    cut_at: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Errors that the first requests get instead."""
    location: str | None = None
    length_known: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    range: str | None
    authorization: str | None


class FileServer:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []

    def serve(self, path: str, served: Served) -> str:
        self.files[path] = served
        return self.url + path


@contextmanager
def file_server() -> Iterator[FileServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = False
        server = FileServer(http.server_port)
        _Handler.by_port[http.server_port] = server
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
            del _Handler.by_port[http.server_port]


class _Handler(BaseHTTPRequestHandler):
    by_port: dict[int, FileServer] = {}  # noqa: RUF012 - http.server makes the instances

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        server = self.by_port[self.server.server_port]  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        asked_range = self.headers["Range"]
        server.asked.append(Asked(self.command, self.path, asked_range, self.headers["Authorization"]))
        served = server.files.get(self.path) or server.files.get(path)
        if served is None:
            self._error(404)
        elif served.statuses:
            self._error(served.statuses.pop(0), served.headers)
        elif served.location is not None:
            self.send_response(302)
            self.send_header("Location", served.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(served, asked_range, with_body=with_body)

    def _error(self, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, served: Served, asked_range: str | None, *, with_body: bool) -> None:
        start = 0
        if asked_range and served.ranges and self.headers["If-Range"] in (None, served.etag):
            start = int(asked_range.removeprefix("bytes=").rstrip("-").split("-")[0])
        total = len(served.body)
        if start and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if served.etag:
            self.send_header("ETag", served.etag)
        if served.length_known:
            self.send_header("Content-Length", str(total - start))
        for name, value in served.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            body = served.body[start:]
            self.wfile.write(body[: served.cut_at.pop(0)] if served.cut_at else body)
