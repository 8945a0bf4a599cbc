import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from edge.models.catalogue import CatalogueModel
from tests.edge.api.conftest import Edge

URL = "/v1/audio/translations"


def translate(client: TestClient, audio: bytes = b"hello there", **form: str) -> Any:
    return client.post(URL, data={"model": "whisper-1"} | form, files={"file": ("a.wav", audio)})


@pytest.fixture
def able(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that is served can translate; the engine behind it is scripted anyway."""
    served = edge.models.find("whisper-1")
    fields = {name: getattr(served.model, name) for name in CatalogueModel.__slots__}
    model = CatalogueModel(**fields | {"capabilities": served.model.capabilities | {"translation"}})
    monkeypatch.setitem(edge.models._served, served.id, type(served)(model, served.worker))


def test_a_model_of_one_language_cannot_translate(client: TestClient) -> None:
    response = translate(client)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "model")
    assert "whisper-base" in response.json()["detail"]


@pytest.mark.usefixtures("able")
def test_a_model_that_can_is_told_to_translate(client: TestClient) -> None:
    response = translate(client, b"order", prompt="Zoe", temperature="0.5")
    told = json.loads(response.json()["text"])
    assert (told["translate"], told["prompt"], told["temperature"]) == (True, "Zoe", 0.5)
    assert response.headers["X-Pg-Audio-Seconds"] == "3.250"


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("json", "hello there"),
        ("verbose_json", "hello there"),
        ("srt", "1\n00:00:00,000 --> 00:00:01,250\nhello\n\n2\n00:00:01,500 --> 00:00:02,750\nthere\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nhello\n\n00:00:01.500 --> 00:00:02.750\nthere\n\n"),
    ],
)
def test_every_format_but_text_is_json(client: TestClient, wanted: str, text: str) -> None:
    body = translate(client, response_format=wanted).json()
    assert body["text"] == text
    assert ("segments" in body) == (wanted == "verbose_json")
    assert body["usage"] == {"type": "duration", "seconds": 3.25}


@pytest.mark.usefixtures("able")
def test_text_is_text(client: TestClient) -> None:
    response = translate(client, response_format="text")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == "hello there"


@pytest.mark.parametrize(
    ("form", "status", "param"),
    [
        ({"model": ""}, 400, "model"),
        ({"model": "whisper-9"}, 404, "model"),
        ({"model": "kokoro-82m"}, 400, "model"),
        ({"temperature": "2"}, 400, "temperature"),
        ({"response_format": "xml"}, 400, "response_format"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, form: dict[str, str], status: int, param: str) -> None:
    response = client.post(URL, data={"model": "whisper-1"} | form, files={"file": b"hello"})
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def test_an_upload_above_the_limit_is_refused(client: TestClient) -> None:
    assert translate(client, b"x" * (2**20 + 1)).status_code == 413
