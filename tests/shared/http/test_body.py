import time
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import EXCEPTION_HANDLERS
from shared.http import body as body_module
from shared.http.body import BodyLimitMiddleware
from shared.http.json import JsonResponse
from tests.shared.http.asgi import chunks, exchange, scope_of


def limited(limit: int = 10, read_seconds: float = 5.0) -> ASGIApp:
    """Return an app that answers with the length of the body, behind a limit."""

    async def size(request: Request) -> Response:
        return JsonResponse(len(await request.body()))

    app = Starlette(
        routes=[Route("/{path:path}", size, methods=["POST"])], exception_handlers=EXCEPTION_HANDLERS
    )
    return BodyLimitMiddleware(
        app, limits={"": limit, "/v1/audio": 10 * limit, "/v1": 2 * limit}, read_seconds=read_seconds
    )


def length(value: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", value)]


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.binary(max_size=9), max_size=8), limit=st.integers(1, 40), declared=st.booleans())
def test_body_arrives_whole_or_is_refused(parts: list[bytes], limit: int, declared: bool) -> None:
    total = sum(map(len, parts))
    headers = length(str(total).encode()) if declared else []
    done = anyio.run(exchange, limited(limit), scope_of("POST", headers=headers), chunks(*parts))
    if total <= limit:
        assert (done.status, done.json()) == (200, total)
    else:
        assert done.status == 413
        assert done.json()["error"]["code"] == "payload_too_large"
    # The client has always been read to the end, so that it gets to read the answer.
    assert len(done.taken) == max(1, len(parts))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "limit"),
    [("/", 10), ("/v", 10), ("/v1", 20), ("/v1/chat", 20), ("/v1/audio", 100), ("/v1/audio/speech", 100)],
)
@pytest.mark.parametrize("declared", [True, False])
async def test_longest_prefix_sets_the_limit(path: str, limit: int, declared: bool) -> None:
    for size, status in ((limit, 200), (limit + 1, 413)):
        headers = length(b"%d" % size) if declared else []
        done = await exchange(limited(), scope_of("POST", path, headers=headers), chunks(bytes(size)))
        assert done.status == status
        assert status == 200 or f"limit of {limit} bytes" in done.json()["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize("value", [b"-1", b"+1", b"1.0", b"five", b"", b"0x10", b"1 2", b"1,1", "٣".encode()])
async def test_length_that_is_no_number_is_refused(value: bytes) -> None:
    done = await exchange(limited(), scope_of("POST", headers=length(value)), chunks(b"abc"))
    assert done.status == 400
    assert "Content-Length" in done.json()["detail"]


@pytest.mark.anyio
async def test_length_of_thousands_of_digits_is_a_number_like_any_other() -> None:
    done = await exchange(limited(), scope_of("POST", headers=length(b"9" * 5000)), chunks(b"abc"))
    assert done.status == 413
    done = await exchange(limited(), scope_of("POST", headers=length(b"0" * 5000 + b"3")), chunks(b"abc"))
    assert (done.status, done.json()) == (200, 3)


@pytest.mark.anyio
async def test_declared_excess_is_refused_before_the_body_and_the_app_is_not_asked() -> None:
    asked = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked = True

    limiting = BodyLimitMiddleware(app, limits={"": 10}, read_seconds=5)
    done = await exchange(limiting, scope_of("POST", headers=length(b"30")), chunks(*[bytes(10)] * 3))
    assert (done.status, asked) == (413, False)
    assert (done.taken_before_answer, len(done.taken)) == (0, 3)


@pytest.mark.anyio
async def test_answer_without_a_look_at_the_body_ends_once_the_body_is_thrown_away() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("no", 401)(scope, receive, send)

    limiting = BodyLimitMiddleware(app, limits={"": 1000}, read_seconds=5)
    done = await exchange(limiting, scope_of("POST"), chunks(*[bytes(10)] * 50))
    assert (done.status, done.body, done.ended) == (401, b"no", True)
    assert (done.taken_before_answer, len(done.taken)) == (0, 50)
    assert [message.get("more_body", False) for message in done.sent[1:]] == [True, False]


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [b"", b"half"])
async def test_body_that_does_not_come_in_time_is_refused(sent: bytes) -> None:
    started = time.monotonic()
    messages = chunks(sent, complete=False) if sent else []
    done = await exchange(limited(read_seconds=0.1), scope_of("POST", headers=length(b"9")), messages)
    assert 0.1 <= time.monotonic() - started < 1
    assert (done.status, done.json()["error"]["code"], done.ended) == (408, "request_timeout", True)


@pytest.mark.anyio
async def test_body_that_drips_is_refused_when_its_time_is_over() -> None:
    async def drip() -> AsyncIterator[Message]:
        while True:
            await anyio.sleep(0.02)
            yield {"type": "http.request", "body": b"", "more_body": True}

    started = time.monotonic()
    done = await exchange(limited(read_seconds=0.15), scope_of("POST"), drip())
    assert 0.15 <= time.monotonic() - started < 1
    assert done.status == 408


@pytest.mark.anyio
async def test_excess_that_never_ends_is_answered_at_once_and_let_go_in_time() -> None:
    started = time.monotonic()
    messages = chunks(bytes(11), complete=False)
    done = await exchange(limited(read_seconds=0.1), scope_of("POST"), messages)
    assert time.monotonic() - started < 1
    assert (done.status, done.ended) == (413, True)


@pytest.mark.anyio
async def test_endless_body_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "DISCARD_BYTES", 1000)

    async def flood() -> AsyncIterator[Message]:
        while True:
            await anyio.lowlevel.checkpoint()
            yield {"type": "http.request", "body": bytes(100), "more_body": True}

    done = await exchange(limited(), scope_of("POST"), flood())
    assert (done.status, done.ended) == (413, True)
    assert 10 <= len(done.taken) < 20


@pytest.mark.anyio
async def test_end_is_sent_while_a_body_keeps_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypercorn takes the end of an answer only when there is room in the queue that it fills."""
    monkeypatch.setattr(body_module, "DISCARD_BYTES", 100)
    into, outof = anyio.create_memory_object_stream[Message](2)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if not message.get("more_body", False) and message["type"] == "http.response.body":
            await anyio.sleep(0.02)  # the client has filled the queue
            await into.send({"type": "http.disconnect"})

    async def client() -> None:
        while True:
            await into.send({"type": "http.request", "body": bytes(50), "more_body": True})

    with into, outof, anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            await limited()(scope_of("POST"), outof.receive, send)
            tasks.cancel_scope.cancel()
    assert sent[0]["status"] == 413


@pytest.mark.anyio
async def test_client_that_leaves_in_mid_body_ends_the_request() -> None:
    messages: list[Message] = [*chunks(b"half", complete=False), {"type": "http.disconnect"}]
    done = await exchange(limited(), scope_of("POST"), messages)
    assert (done.status, done.ended) == (499, True)


@pytest.mark.anyio
async def test_client_that_has_left_stays_gone() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([(await receive())["type"] for _ in range(3)])

    limiting = BodyLimitMiddleware(app, limits={"": 10}, read_seconds=5)
    await exchange(limiting, scope_of("POST"), [*chunks(b"all"), {"type": "http.disconnect"}])
    assert seen == ["http.request", "http.disconnect", "http.disconnect"]


@pytest.mark.anyio
async def test_time_limit_ends_with_the_body() -> None:
    async def later() -> AsyncIterator[Message]:
        yield chunks(b"all")[0]
        await anyio.sleep(0.2)
        yield {"type": "http.disconnect"}

    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([(await receive())["type"] for _ in range(2)])

    await exchange(BodyLimitMiddleware(app, limits={"": 10}, read_seconds=0.1), scope_of("POST"), later())
    assert seen == ["http.request", "http.disconnect"]


@pytest.mark.anyio
async def test_other_scopes_pass() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await exchange(BodyLimitMiddleware(app, limits={"": 1}, read_seconds=1), {"type": "lifespan"})
    assert seen == ["lifespan"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("http_version", "headers", "bounded"),
    [
        ("1.1", [], False),
        ("1.0", [], False),
        ("1.1", [(b"content-length", b"2")], True),
        ("1.1", [(b"transfer-encoding", b"chunked")], True),
        ("2", [], True),
    ],
)
async def test_request_to_read_is_bounded_unless_its_head_rules_a_body_out(
    http_version: str, headers: list[tuple[bytes, bytes]], bounded: bool
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("yes")(scope, receive, send)

    limiting = BodyLimitMiddleware(app, limits={"": 10}, read_seconds=5)
    scope = scope_of("GET", headers=headers, http_version=http_version)
    done = await exchange(limiting, scope, chunks(b"ab"))
    assert (done.status, done.body, len(done.taken)) == (200, b"yes", 1 if bounded else 0)
