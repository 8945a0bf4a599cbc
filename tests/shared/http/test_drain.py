import time

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from shared.http.drain import Drain, DrainMiddleware
from tests.shared.http.asgi import exchange, scope_of


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.anyio
async def test_states_follow_one_another() -> None:
    drain = Drain()
    assert (drain.draining, drain.closing) == (False, False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drain.run, 0.1, 5)
        await anyio.sleep(0.05)
        assert (drain.draining, drain.closing) == (True, False)
    assert (drain.draining, drain.closing) == (True, True)


@pytest.mark.anyio
async def test_idle_service_does_not_wait() -> None:
    started = time.monotonic()
    assert await Drain().run(0, 60)
    assert time.monotonic() - started < 1


@pytest.mark.anyio
async def test_it_waits_for_the_last_request_and_no_longer() -> None:
    drain = Drain()
    released = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await released.wait()

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(exchange, DrainMiddleware(app, drain=drain), scope_of())
        await anyio.wait_all_tasks_blocked()
        assert drain.in_flight == 2

        async def release() -> None:
            await anyio.sleep(0.05)
            released.set()

        tasks.start_soon(release)
        started = time.monotonic()
        assert await drain.run(0, 60)
        assert 0.05 <= time.monotonic() - started < 5
    assert drain.in_flight == 0


@pytest.mark.anyio
async def test_request_that_stays_ends_the_wait_at_the_deadline() -> None:
    drain = Drain()
    drain.enter()
    started = time.monotonic()
    assert not await drain.run(0, 0.1)
    assert 0.1 <= time.monotonic() - started < 1


@pytest.mark.anyio
async def test_request_is_counted_out_however_it_ends() -> None:
    drain = Drain()

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        assert drain.in_flight == 1
        await anyio.sleep_forever()

    with pytest.raises(RuntimeError, match="broken"):
        await exchange(DrainMiddleware(failing, drain=drain), scope_of())
    with anyio.move_on_after(0.05):
        await exchange(DrainMiddleware(waiting, drain=drain), scope_of())
    assert drain.in_flight == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("http_version", "closes"), [("1.0", True), ("1.1", True), ("2", False)])
async def test_connections_are_closed_from_the_signal_on(http_version: str, closes: bool) -> None:
    drain = Drain()
    app = DrainMiddleware(answering, drain=drain)
    scope = scope_of(http_version=http_version)
    assert "connection" not in (await exchange(app, scope)).headers
    drain.draining = True
    assert (await exchange(app, scope)).headers.get("connection") == ("close" if closes else None)
    drain.closing = True
    refused = await exchange(app, scope)
    assert (refused.status, refused.json()["error"]["code"]) == (503, "shutting_down")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers.get("connection") == ("close" if closes else None)
    assert drain.in_flight == 0


@pytest.mark.anyio
async def test_lifespan_goes_on_while_closing() -> None:
    drain = Drain()
    drain.closing = True
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await exchange(DrainMiddleware(app, drain=drain), {"type": "lifespan"})
    assert seen == ["lifespan"]
