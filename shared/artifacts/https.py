"""Downloading one URL into one file: resumable, bounded, and never away from https."""

import contextlib
import ssl
import time
from pathlib import Path
from typing import BinaryIO, NoReturn

import certifi
import httpx

from shared.artifacts.errors import SourceFailed
from shared.artifacts.progress import Progress
from shared.artifacts.sources import Url, may_fetch

ATTEMPTS = 5
SECONDS = 4 * 3600.0
_TIMEOUT = httpx.Timeout(30.0, connect=15.0)
_REDIRECTS = 5
_PAUSE_SECONDS = 1.0


class _Interrupted(Exception):
    """The connection failed; what arrived so far is kept and another attempt may go on from there."""


def download(
    url: str,
    to: Path,
    progress: Progress,
    *,
    max_bytes: int,
    resume: bool = False,
    auth: tuple[str, str] | None = None,
    seconds: float = SECONDS,
) -> None:
    """Fetch *url* into the file *to*.

    With *resume* the bytes that *to* already holds are kept and only the rest is asked for; the caller
    checks a digest afterwards. *auth* is a user and password for the first URL's origin only.

    Raises:
        SourceFailed: it cannot be had, is larger than *max_bytes*, or took longer than *seconds*.
    """
    if not may_fetch(url):
        raise SourceFailed("only https, or http to this machine, is fetched")
    if not resume:
        to.unlink(missing_ok=True)
    with httpx.Client(verify=_trust(), timeout=_TIMEOUT) as client, to.open("ab") as file:
        transfer = _Transfer(client, file, progress, max_bytes, time.monotonic() + seconds)
        attempt = 1
        while True:
            before = file.tell()
            try:
                transfer.run(url, auth)
            except _Interrupted as error:
                attempt = 1 if file.tell() > before else attempt + 1
                if attempt > ATTEMPTS:
                    raise SourceFailed(f"{error} (is there a network?)") from None
                time.sleep(_PAUSE_SECONDS * (attempt - 1))
            else:
                return


def _trust() -> ssl.SSLContext:
    """Trust what the system trusts, as pip does, and the public roots where the system has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


class _Transfer:
    def __init__(
        self, client: httpx.Client, file: BinaryIO, progress: Progress, max_bytes: int, deadline: float
    ) -> None:
        self._client = client
        self._file = file
        self._progress = progress
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._etag = ""

    def run(self, url: str, auth: tuple[str, str] | None) -> None:
        """Ask for what is missing, following redirects, and append it to the file."""
        for _ in range(_REDIRECTS + 1):
            request = self._client.build_request("GET", url, headers=self._headers())
            try:
                response = self._client.send(request, auth=auth, stream=True)
                with contextlib.closing(response):
                    if not response.has_redirect_location:
                        self._receive(response)
                        return
            except httpx.TransportError as error:
                raise _Interrupted(f"{type(error).__name__}: {error}".removesuffix(": ")) from None
            target = response.url.join(response.headers["Location"])
            if not may_fetch(str(target)):
                raise SourceFailed(f"it redirects to {Url(str(target))}, which is not https")
            auth = auth if _origin(target) == _origin(request.url) else None
            url = str(target)
        raise SourceFailed(f"it redirects more than {_REDIRECTS} times")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self._file.tell():
            headers["Range"] = f"bytes={self._file.tell()}-"
            if self._etag:
                headers["If-Range"] = self._etag
        return headers

    def _receive(self, response: httpx.Response) -> None:
        offset = self._file.tell()
        status, given = response.status_code, response.headers.get("Content-Range", "")
        if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and given == f"bytes */{offset}":
            return
        if status == httpx.codes.OK:
            self._restart()
        elif status != httpx.codes.PARTIAL_CONTENT or not given.startswith(f"bytes {offset}-"):
            self._refuse(response)
        etag = response.headers.get("ETag", "")
        self._etag = "" if etag.startswith("W/") else etag
        self._append(response)

    def _refuse(self, response: httpx.Response) -> NoReturn:
        told = f"the server answered {response.status_code} {response.reason_phrase}"
        if response.status_code in (httpx.codes.PARTIAL_CONTENT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE):
            self._restart()
            raise _Interrupted(f"{told} for another range")
        if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise _Interrupted(told)
        raise SourceFailed(told)

    def _append(self, response: httpx.Response) -> None:
        file = self._file
        length = response.headers.get("Content-Length", "")
        total_bytes = file.tell() + int(length) if length.isdigit() else None
        if total_bytes is not None and total_bytes > self._max_bytes:
            raise SourceFailed(f"it is {total_bytes} bytes long, more than the {self._max_bytes} allowed")
        with self._progress.meter(Path(response.url.path).name, total_bytes) as meter:
            for block in response.iter_raw():
                if file.tell() + len(block) > self._max_bytes:
                    raise SourceFailed(f"it is longer than the {self._max_bytes} bytes allowed")
                file.write(block)
                meter.show(file.tell(), total_bytes)
                if time.monotonic() > self._deadline:
                    raise SourceFailed("it took too long; what arrived is kept")

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
