import secrets
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from shared.http.access_log import AccessLogMiddleware
from tests.shared.http.asgi import exchange, scope_of

Logged = Callable[[], list[dict[str, Any]]]


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"four", "more_body": True})
    await send({"type": "http.response.body", "body": b"five!"})


@pytest.mark.anyio
async def test_one_line_tells_what_happened_and_no_more(logged: Logged) -> None:
    scope = scope_of("POST", "/v1/models/a/b", query=b"key=words", headers=[(b"authorization", b"words")])
    await exchange(AccessLogMiddleware(answering), scope, [{"type": "http.request", "body": b"words"}])
    (line,) = logged()
    assert line.pop("ms") >= 0
    del line["timestamp"]
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "access",
        "method": "POST",
        "path": "/v1/models/a/b",
        "status": 201,
        "sent_bytes": 9,
        "client": "192.0.2.1",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("fails", [False, True])
async def test_key_is_nowhere_in_the_log(
    monkeypatch: pytest.MonkeyPatch, logged: Logged, fails: bool
) -> None:
    key = "pg_" + secrets.token_urlsafe(32)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(scope, receive, send)
        if fails:
            raise RuntimeError(f"no such key: {key}")

    for path in (f"/v1/models/{key}", f"/{key}", f"/v1/x%20{key}"):
        headers = [(b"authorization", f"Bearer {key}".encode()), (b"x-api-key", key.encode())]
        await exchange(AccessLogMiddleware(app), scope_of(path=path, query=key.encode(), headers=headers))
    lines = logged()
    assert len(lines) == (6 if fails else 3)
    assert key not in str(lines)
    assert key[3:] not in str(lines)
    assert "pg_***" in str(lines)


@pytest.mark.anyio
async def test_path_cannot_forge_a_line_or_move_a_cursor(logged: Logged) -> None:
    await exchange(AccessLogMiddleware(answering), scope_of(path='/a\r\nrequest status=200\x1b[2J"é'))
    (line,) = logged()
    assert line["path"] == "/a%0D%0Arequest%20status=200%1B%5B2J%22%C3%A9"


@pytest.mark.anyio
async def test_unhandled_exception_is_logged_once_and_answered(logged: Logged) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("the disk is full")

    done = await exchange(AccessLogMiddleware(app), scope_of())
    assert (done.status, done.json()["error"]["code"]) == (500, "internal_error")
    assert b"disk" not in done.body
    unhandled, request = logged()
    assert (unhandled["event"], unhandled["level"]) == ("unhandled", "error")
    assert unhandled["exception"][0]["exc_value"] == "the disk is full"
    assert unhandled["exception"][0]["frames"]
    assert (request["event"], request["status"]) == ("request", 500)


@pytest.mark.anyio
async def test_exception_in_mid_answer_is_logged_and_the_answer_left_cut(logged: Logged) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("broken")

    done = await exchange(AccessLogMiddleware(app), scope_of())
    assert (done.body, done.ended) == (b"half", False)
    unhandled, request = logged()
    assert (unhandled["event"], request["status"], request["sent_bytes"]) == ("unhandled", 200, 4)


@pytest.mark.anyio
async def test_cancelled_request_is_logged(logged: Logged) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.05):
        await exchange(AccessLogMiddleware(app), scope_of())
    (line,) = logged()
    assert (line["event"], line["status"]) == ("request", 0)


@pytest.mark.anyio
async def test_scope_without_a_client_is_logged(logged: Logged) -> None:
    await exchange(AccessLogMiddleware(answering), scope_of() | {"client": None})
    (line,) = logged()
    assert line["client"] is None


@pytest.mark.anyio
async def test_other_scopes_are_not_logged(logged: Logged) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    await exchange(AccessLogMiddleware(app), {"type": "lifespan"})
    assert logged() == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "status", "written"),
    [
        ("/internal/status", 200, False),
        ("/internal/status", 401, True),
        ("/internal/statuses", 200, True),
        ("/health", 200, True),
    ],
)
async def test_what_is_asked_every_second_is_logged_only_when_refused(
    logged: Logged, path: str, status: int, written: bool
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    await exchange(AccessLogMiddleware(app), scope_of(path=path))
    assert bool(logged()) is written
