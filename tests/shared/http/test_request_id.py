from collections.abc import Callable
from typing import Any

import anyio
import pytest
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.http.request_id import RequestIdMiddleware
from tests.shared.http.asgi import exchange, scope_of

Logged = Callable[[], list[dict[str, Any]]]


def telling() -> ASGIApp:
    """Return an app that answers with the id that it was given."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-request-id", b"mine")]})
        await send({"type": "http.response.body", "body": scope["state"]["request_id"].encode()})

    return RequestIdMiddleware(app)


def given(value: bytes) -> dict[str, Any]:
    return scope_of(headers=[(b"x-request-id", value)])


@pytest.mark.anyio
@pytest.mark.parametrize(
    "value",
    [b"req_1700000000_abc123def", b"a", b"A" * 128, b"0f8fad5b-d9cb-469f-a165-70867728950e", b"a.b:c/d+e="],
)
async def test_acceptable_id_is_taken_and_echoed_once(value: bytes) -> None:
    done = await exchange(telling(), given(value))
    assert done.body == value
    assert done.headers.getlist("x-request-id") == [value.decode()]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"A" * 129,
        b"a b",
        b"a\r\nSet-Cookie: x",
        b"a\nlevel=error",
        b"a\n",
        b"\x1b[2J",
        b'"},{"',
        "é".encode(),
        b"\xff",
        b"a\x00",
    ],
)
async def test_id_that_could_be_more_than_an_id_is_replaced(value: bytes) -> None:
    done = await exchange(telling(), given(value))
    (echoed,) = done.headers.getlist("x-request-id")
    assert echoed.startswith("req_")
    assert echoed.encode() == done.body != value


@pytest.mark.anyio
async def test_made_ids_differ() -> None:
    made = {(await exchange(telling(), scope_of())).body for _ in range(50)}
    assert len(made) == 50


@pytest.mark.anyio
async def test_id_is_in_the_log_lines_of_its_own_request(logged: Logged) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for step in range(2):
            structlog.get_logger("app").info("step", step=step, own=scope["state"]["request_id"])
            await anyio.sleep(0.01)

    handling = RequestIdMiddleware(app)
    async with anyio.create_task_group() as tasks:
        for name in (b"one", b"two"):
            tasks.start_soon(exchange, handling, given(name))
    structlog.get_logger("app").info("outside")
    *steps, outside = logged()
    assert [line["request_id"] for line in steps] == [line["own"] for line in steps]
    assert {line["own"] for line in steps} == {"one", "two"}
    assert len(steps) == 4
    assert "request_id" not in outside


@pytest.mark.anyio
async def test_other_scopes_pass() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    await exchange(RequestIdMiddleware(app), {"type": "lifespan"})
    assert seen == [{"type": "lifespan"}]
