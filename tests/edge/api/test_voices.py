import jsonschema
import pytest
from starlette.testclient import TestClient

from edge.accounts import Scope
from edge.api.openapi import build
from edge.api.table import OPERATIONS
from edge.workers.worker import State
from tests.edge.api.conftest import Edge

PATH = "/v1/audio/voices"
NOVA = {
    "id": "af_nova",
    "name": "Nova",
    "accent": "American",
    "gender": "female",
    "language": "en-US",
    "aliases": ["nova"],
    "model": "kokoro-82m",
}


def test_the_voices_of_every_model_that_speaks(client: TestClient) -> None:
    answer = client.get(PATH).json()
    assert answer == {"object": "list", "data": [NOVA]}
    document = build(OPERATIONS)
    described = document["paths"][PATH]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer, described | {"components": document["components"]})


@pytest.mark.parametrize("model", ["kokoro-82m", "tts-1", "hexgrad/Kokoro-82M", "local/kokoro-82m"])
def test_the_voices_of_one_model(client: TestClient, model: str) -> None:
    assert client.get(PATH, params={"model": model}).json()["data"] == [NOVA]


@pytest.mark.parametrize(
    ("model", "status"), [("whisper-1", 400), ("nobody", 404), ("hibari", 404), ("", 400), ("x" * 300, 400)]
)
def test_a_model_without_voices_is_an_error(client: TestClient, model: str, status: int) -> None:
    answer = client.get(PATH, params={"model": model})
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == "model"


def test_any_key_may_see_them_and_nobody_without(edge: Edge) -> None:
    operator = edge.key(Scope.SUPERADMIN)
    assert edge.client.get(PATH, headers={"Authorization": f"Bearer {operator}"}).status_code == 200
    assert edge.client.get(PATH).status_code == 401


def test_voices_that_are_not_known_yet_are_no_empty_list(
    edge: Edge, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = edge.models.get("kokoro-82m")
    assert served is not None
    monkeypatch.setattr(served.worker, "_info", {})
    monkeypatch.setattr(served.worker, "state", State.LOADING)
    answer = client.get(PATH, params={"model": "tts-1"})
    assert answer.status_code == 503
    assert "loading" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0
