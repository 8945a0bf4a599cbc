import http.client
import socket
import time
from collections.abc import AsyncIterator
from http import HTTPMethod

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from autorouter.verbs import VerbMiddleware
from tests.autorouter.conftest import Start

PATHS = ["/v1/route", "/health", "/", "/v1/chat/completions", "//v1//route/", "/no/such/path", "/a%20b"]
WEBDAV = "PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH PURGE LINK".split()  # noqa: SIM905
ANSWERED = {"GET", "HEAD", "OPTIONS"}
REFUSED = [*sorted(set(HTTPMethod) - ANSWERED), *WEBDAV, "FOO", "GETT", "X-Y", "M-SEARCH"]


@pytest.mark.anyio
@pytest.mark.parametrize("method", REFUSED)
async def test_every_other_verb_is_forbidden_on_every_path(start: Start, method: str) -> None:
    async with start() as autorouter, autorouter.client() as client:
        for path in PATHS:
            response = await client.request(method, f"http://autorouter{path}", json={"model": "m"})
            assert response.status_code == 403
            assert response.headers["allow"] == "GET, HEAD, OPTIONS"
            assert response.headers["cache-control"] == "no-store"
            body = response.json()
            assert "discovery service" in body["detail"]
            assert "/v1/route" in body["detail"]
            assert body["error"] == {
                "message": body["detail"],
                "type": "permission_error",
                "param": None,
                "code": "forbidden",
            }


@pytest.mark.anyio
@pytest.mark.parametrize("path", PATHS)
async def test_options_are_answered_on_every_path(start: Start, path: str) -> None:
    async with start() as autorouter, autorouter.client() as client:
        response = await client.options(f"http://autorouter{path}")
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.anyio
async def test_body_of_a_refused_request_is_read_to_its_end(start: Start) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield bytes(100_000)

    async with start() as autorouter, autorouter.client() as client:
        response = await client.post("/v1/chat/completions", content=body())
    assert response.status_code == 403
    assert sent == 100


@pytest.mark.anyio
async def test_length_beyond_every_limit_is_refused_for_its_verb(start: Start) -> None:
    async with start() as autorouter, autorouter.client() as client:
        response = await client.post("/v1/x", content=b"", headers={"Content-Length": "9" * 15})
    assert response.status_code == 403


async def refused(receive: Receive, **scope: object) -> list[Message]:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("a refused verb reached the app")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with anyio.fail_after(5):
        await VerbMiddleware(app)({"type": "http", "path": "/", "headers": [], **scope}, receive, send)
    return sent


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path", "status"), [("OPTIONS", "*", 204), ("CONNECT", "edge:443", 403)])
async def test_targets_that_are_no_path(method: str, path: str, status: int) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    assert (await refused(receive, method=method, path=path))[0]["status"] == status


def test_refusal_does_not_wait_for_the_body(running: int) -> None:
    with socket.create_connection(("127.0.0.1", running), timeout=10) as client:
        started = time.monotonic()
        client.sendall(b"POST /v1/route HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 403
        assert b"discovery service" in answer.read()
        assert time.monotonic() - started < 2.0
