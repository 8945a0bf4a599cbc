import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared import errors
from shared.errors import EXCEPTION_HANDLERS, ApiError, Unauthorized, Unavailable, error_for_status

TREE = [error for error in ApiError.__subclasses__() if error.__module__ == errors.__name__]


def app_that(act: Callable[[Request], Any]) -> httpx.AsyncClient:
    async def endpoint(request: Request) -> Response:
        await act(request)
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/it", endpoint)], exception_handlers=EXCEPTION_HANDLERS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def answer_to(error: Exception) -> httpx.Response:
    async def act(_request: Request) -> None:
        raise error

    async with app_that(act) as client:
        return await client.get("/it")


@pytest.mark.anyio
@pytest.mark.parametrize("error", TREE)
async def test_every_error_has_the_one_body(error: type[ApiError]) -> None:
    raised = error("change this")
    answer = await answer_to(raised)
    assert answer.status_code == raised.status >= 400
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"detail", "error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["detail"] == body["error"]["message"] == raised.detail != ""
    assert body["error"]["type"] == raised.type
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


def test_the_drawing_shows_every_error_with_its_status() -> None:
    drawing = dict(re.findall(r"── (\w+) +(\d{3})", str(errors.__doc__)))
    assert drawing == {error.__name__: str(error.status) for error in TREE}


def test_what_only_an_instance_knows_is_in_the_body() -> None:
    error = ApiError("too warm", param="temperature", code="invalid_value")
    assert error.body()["error"] == {
        "message": "too warm",
        "type": "server_error",
        "param": "temperature",
        "code": "invalid_value",
    }
    assert ApiError("x").code is None


def test_unavailable_says_when_to_try_again() -> None:
    assert Unavailable("full").headers == {"Retry-After": "1"}
    assert Unavailable("full", retry_after=30).headers == {"Retry-After": "30"}


def test_unauthorized_says_how_and_lets_a_subclass_say_more() -> None:
    assert Unauthorized("no").headers == {"WWW-Authenticate": "Bearer"}
    told = Unauthorized("no", headers={"WWW-Authenticate": 'Bearer realm="x"'})
    assert told.headers == {"WWW-Authenticate": 'Bearer realm="x"'}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", "invalid_api_key"),
        (413, "invalid_request_error", "payload_too_large"),
        (418, "invalid_request_error", None),
        (431, "invalid_request_error", None),
        (499, "invalid_request_error", None),
        (500, "server_error", "internal_error"),
        (501, "server_error", None),
        (503, "service_unavailable", "unavailable"),
    ],
)
async def test_refusal_of_the_framework_has_the_same_body(status: int, type_: str, code: str | None) -> None:
    answer = await answer_to(HTTPException(status, "not like this", {"X-Why": "because"}))
    assert answer.status_code == status
    assert answer.json() == {
        "detail": "not like this",
        "error": {"message": "not like this", "type": type_, "param": None, "code": code},
    }
    assert answer.headers["x-why"] == "because"
    assert ("retry-after" in answer.headers) == (status == 503)
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_mapping_leaves_the_classes_as_they_are() -> None:
    error_for_status(418, "teapot")
    error_for_status(503, "full", {"Retry-After": "9"})
    assert (ApiError.status, ApiError.type, Unavailable("full").headers) == (
        500,
        "server_error",
        {"Retry-After": "1"},
    )


@pytest.mark.anyio
async def test_unknown_path_and_wrong_verb_say_what_was_asked() -> None:
    async def act(_request: Request) -> None: ...

    async with app_that(act) as client:
        unknown = await client.get("/nowhere")
        wrong = await client.post("/it")
        long = await client.get("/" + "a" * 5000)
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "There is nothing at GET /nowhere")
    assert wrong.status_code == 405
    assert wrong.json()["detail"] == "POST is not allowed at /it; use GET or HEAD"
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert (long.status_code, len(long.json()["detail"])) == (404, 24 + errors.SHOWN_PATH)


@pytest.mark.anyio
async def test_wrong_verb_without_a_list_of_right_ones() -> None:
    answer = await answer_to(HTTPException(405))
    assert (answer.status_code, answer.json()["detail"]) == (405, "Method Not Allowed")


@pytest.mark.anyio
async def test_form_that_is_none_is_a_bad_request() -> None:
    async def act(request: Request) -> None:
        await request.form()

    async with app_that(act) as client:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await client.request("GET", "/it", headers=headers, content=b"--y\r\nnot a form")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.anyio
async def test_unexpected_exception_tells_nothing_of_itself() -> None:
    answer = await answer_to(RuntimeError("password=hunter2"))
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.anyio
async def test_client_that_left_is_no_failure_of_ours() -> None:
    assert (await answer_to(ClientDisconnect())).status_code == 499
