import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from shared.http.paths import NormalisePathMiddleware
from tests.shared.http.asgi import exchange, scope_of


def normalised(path: str) -> str:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])

    anyio.run(exchange, NormalisePathMiddleware(app), scope_of(path=path))
    return seen[0]


@pytest.mark.parametrize(
    ("given_", "path"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/v1/models", "/v1/models"),
        ("//v1/models", "/v1/models"),
        ("/v1//models/", "/v1/models"),
        ("/v1/models/hexgrad/Kokoro-82M///", "/v1/models/hexgrad/Kokoro-82M"),
        ("http://edge.example/v1/route", "/v1/route"),
        ("HTTPS://edge.example:8443//v1/route/", "/v1/route"),
        ("http://edge.example", "/"),
        ("/v1/models/http://edge.example/x", "/v1/models/http:/edge.example/x"),
        ("*", "*"),
    ],
)
def test_one_spelling(given_: str, path: str) -> None:
    assert normalised(given_) == path


@given(st.lists(st.sampled_from(["/", "a", "é", "%", ".", " ", "http:", ":"]), max_size=12))
def test_normalised_path_stays_as_it_is(parts: list[str]) -> None:
    path = normalised("/" + "".join(parts))
    assert normalised(path) == path
    assert "//" not in path
    assert path == "/" or not path.endswith("/")


@pytest.mark.anyio
async def test_other_scopes_pass() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    await exchange(NormalisePathMiddleware(app), {"type": "lifespan"})
    assert seen == [{"type": "lifespan"}]
