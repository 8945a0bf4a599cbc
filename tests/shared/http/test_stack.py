from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared.errors import EXCEPTION_HANDLERS
from shared.http.drain import Drain
from shared.http.stack import wrap

Logged = Callable[[], list[dict[str, Any]]]


def client(drain: Drain | None = None) -> httpx.AsyncClient:
    async def told(request: Request) -> Response:
        return PlainTextResponse(request.scope["state"]["request_id"])

    async def size(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def fail(_request: Request) -> Response:
        raise RuntimeError("the disk is full")

    app = Starlette(
        routes=[Route("/told", told), Route("/size", size, methods=["POST"]), Route("/fail", fail)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    wrapped = wrap(app, drain=drain or Drain(), body_limits={"": 10, "/size": 20}, read_seconds=1)
    return httpx.AsyncClient(transport=httpx.ASGITransport(wrapped), base_url="http://test")


@pytest.mark.anyio
async def test_every_answer_has_its_id_and_its_line(logged: Logged) -> None:
    closing = Drain()
    closing.closing = True
    ids = {"X-Request-ID": "req_mine"}
    async with client() as open_, client(closing) as closed:
        answers = [
            await open_.get("http://test//told/", headers=ids),
            await open_.get("/nowhere", headers=ids),
            await open_.post("/told", headers=ids),
            await open_.post("/size", headers=ids, content=bytes(21)),
            await open_.get("/fail", headers=ids),
            await closed.get("/told", headers=ids),
        ]
    assert [answer.status_code for answer in answers] == [200, 404, 405, 413, 500, 503]
    assert {answer.headers["x-request-id"] for answer in answers} == {"req_mine"}
    assert answers[0].text == "req_mine"
    for answer in answers[1:]:
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["detail"] == answer.json()["error"]["message"] != ""
    lines = logged()
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 404, 405, 413, 500, 503]
    assert [line["path"] for line in requests][:2] == ["/told", "/nowhere"]
    assert {line["request_id"] for line in lines} == {"req_mine"}
    # The traceback of the 500, once, and in no answer.
    assert [line["event"] for line in lines if line["level"] == "error"] == ["unhandled"]
    assert "disk" not in answers[4].text


@pytest.mark.anyio
async def test_limits_hold_for_the_path_as_it_is_routed() -> None:
    async with client() as open_:
        assert (await open_.post("http://test//size/", content=bytes(20))).text == "20"
