import httpx
import pytest

from tests.autorouter.conftest import Start

pytestmark = pytest.mark.anyio

PAGE = "https://page.example"


def assert_open(response: httpx.Response) -> None:
    assert response.headers.get_list("access-control-allow-origin") == ["*"]
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "ETag" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in response.headers
    assert "origin" not in response.headers.get("vary", "").lower()


async def test_every_answer_may_be_read_by_every_page(start: Start) -> None:
    async with start() as autorouter, autorouter.client("99.230.0.1") as client:
        tag = (await client.get("/v1/route")).headers["etag"]
        for headers in ({}, {"Origin": PAGE}, {"Origin": "null"}):
            answers = {
                200: await client.get("/v1/route", headers=headers),
                304: await client.get("/v1/route", headers=headers | {"If-None-Match": tag}),
                404: await client.get("/nowhere", headers=headers),
                403: await client.post("/v1/route", headers=headers),
                204: await client.options("/v1/route", headers=headers),
            }
            for status, response in answers.items():
                assert response.status_code == status
                assert_open(response)
        autorouter.drain.closing = True
        closing = await client.get("/v1/route")
    assert closing.status_code == 503
    assert_open(closing)


@pytest.mark.parametrize("path", ["/v1/route", "/health", "/nowhere", "//v1//route/", "/"])
async def test_preflight_is_answered_on_every_path(start: Start, path: str) -> None:
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,if-none-match,x-request-id",
    }
    async with start() as autorouter, autorouter.client() as client:
        response = await client.options(f"http://autorouter{path}", headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert_open(response)
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    # Fetch: a `*` takes in every header but Authorization.
    assert response.headers["access-control-allow-headers"] == "*, Authorization"
    assert int(response.headers["access-control-max-age"]) > 0
    assert "vary" not in response.headers


async def test_preflight_leaves_no_verb_open_that_is_not(start: Start) -> None:
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    async with start() as autorouter, autorouter.client() as client:
        response = await client.options("/v1/route", headers=headers)
    assert "POST" not in response.headers["access-control-allow-methods"]


async def test_failure_may_be_read_too(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autorouter.route.asked_for", lambda _: 1 / 0)
    async with start() as autorouter, autorouter.client() as client:
        response = await client.get("/v1/route")
    assert response.status_code == 500
    assert response.headers["cache-control"] == "no-store"
    assert_open(response)
