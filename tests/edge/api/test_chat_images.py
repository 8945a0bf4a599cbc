import base64
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message as AsgiMessage
from starlette.types import Receive

from edge.api import chat_images
from edge.api.chat_images import fetch_images
from edge.api.requests import Message
from edge.errors import ClientGone, InvalidField
from edge.images import ImageError
from edge.models.served import ServedModel, ServedModels
from tests.edge.api.conftest import Edge
from tests.edge.api.test_chat import ask
from tests.edge.images.files import jpeg, png


def uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


@pytest.fixture
def seeing(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chat model sees."""
    found = edge.models.find_for("smollm2", "chat")
    capabilities = found.model.capabilities | {"vision"}
    served: ServedModel = replace(found, model=replace(found.model, capabilities=capabilities))
    monkeypatch.setattr(ServedModels, "find_for", lambda *_: served)


def test_a_model_that_sees_nothing_says_so(client: TestClient) -> None:
    messages = [
        {"role": "user", "content": "x"},
        {"role": "user", "content": [text("what is"), image(uri(png()))]},
    ]
    response = ask(client, messages=messages)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages.1.content.1"
    assert "model 'smollm2-135m-instruct' does not support image input" in response.json()["detail"]


@pytest.mark.usefixtures("seeing")
def test_images_reach_the_model_in_their_places(client: TestClient) -> None:
    content = [text("order"), image(uri(png())), text("or"), image(uri(jpeg()))]
    response = ask(
        client, messages=[{"role": "system", "content": "s"}, {"role": "user", "content": content}]
    )
    made = json.loads(response.json()["choices"][0]["message"]["content"])
    assert made["messages"] == [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "order"},
                {"type": "image", "data": png().decode("latin-1")},
                {"type": "text", "text": "or"},
                {"type": "image", "data": jpeg().decode("latin-1")},
            ],
        },
    ]


@pytest.mark.usefixtures("seeing")
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/a.png", "not on the public internet"),
        ("https://localhost/a.png", "not on the public internet"),
        ("http://169.254.169.254/latest", "not on the public internet"),
        ("ftp://a.example/a.png", "only http and https"),
        ("data:image/png,x", "base64"),
        (uri(b"hello"), "not a PNG"),
        (uri(png(100_000, 100_000)), "pixels"),
    ],
)
def test_an_image_that_cannot_be_had_is_named(client: TestClient, url: str, says: str) -> None:
    response = ask(client, messages=[{"role": "user", "content": [text("x"), image(url)]}])
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages.0.content.1"
    assert says in response.json()["detail"]
    assert len(response.content) < 1000


@pytest.mark.usefixtures("seeing")
def test_the_images_of_a_request_are_counted(client: TestClient) -> None:
    response = ask(client, messages=[{"role": "user", "content": [text("order")] + [image(uri(png()))] * 8}])
    assert response.status_code == 200
    response = ask(client, messages=[{"role": "user", "content": [image(uri(png()))] * 9}])
    assert response.json()["error"]["param"] == "messages.0.content.8"


async def never_leaves() -> AsgiMessage:
    await anyio.sleep_forever()
    raise AssertionError


async def leaves_soon() -> AsgiMessage:
    await anyio.sleep(0.01)
    return {"type": "http.disconnect"}


class Source:
    """Reads images by a function; knows how many are being read, and how many were at once."""

    def __init__(self, read: Callable[[str], bytes], *, seconds: float = 0.01) -> None:
        self._read = read
        self._seconds = seconds
        self.reading = self.most = 0

    async def read(self, url: str) -> bytes:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            await anyio.sleep(self._seconds)
            return self._read(url)
        finally:
            self.reading -= 1


async def fetch(source: Source, *urls: str, receive: Receive = never_leaves) -> Any:
    app = SimpleNamespace(state=SimpleNamespace(images=source))
    served: Any = SimpleNamespace(id="m", model=SimpleNamespace(capabilities={"vision"}))
    message = Message.model_validate({"role": "user", "content": [image(url) for url in urls]})
    with anyio.fail_after(5):
        return await fetch_images(Request({"type": "http", "app": app}, receive), served, [message])


@pytest.mark.anyio
async def test_images_are_fetched_side_by_side() -> None:
    source = Source(str.encode)
    assert await fetch(source, "a", "b", "c") == {(0, 0): b"a", (0, 1): b"b", (0, 2): b"c"}
    assert source.most == 3


@pytest.mark.anyio
async def test_all_images_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_images, "MAX_TOTAL_BYTES", 10)
    assert len(await fetch(Source(str.encode), "a" * 5, "b" * 5)) == 2
    with pytest.raises(InvalidField, match="larger than 10 bytes in all"):
        await fetch(Source(str.encode), "a" * 5, "b" * 6)


@pytest.mark.anyio
async def test_one_that_fails_ends_the_others() -> None:
    def read(url: str) -> bytes:
        if url == "bad":
            raise ImageError("it is gone")
        return b""

    source = Source(read)
    with pytest.raises(InvalidField, match=r"messages\.0\.content\.1: .*it is gone"):
        await fetch(source, "a", "bad")
    assert source.reading == 0


@pytest.mark.anyio
async def test_a_client_that_leaves_ends_the_fetching() -> None:
    source = Source(str.encode, seconds=60)
    with pytest.raises(ClientGone):
        await fetch(source, "a", receive=leaves_soon)
    assert (source.reading, source.most) == (0, 1)
