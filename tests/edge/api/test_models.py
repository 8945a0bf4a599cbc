import pytest
from starlette.testclient import TestClient

from edge.models import weights
from tests.models import CACHE, pulled

DEFAULTS = ["smollm2-135m-instruct", "all-minilm-l6-v2", "kokoro-82m", "whisper-tiny.en"]


def test_the_list_has_what_the_published_client_requires(client: TestClient) -> None:
    body = client.get("/v1/models").json()
    assert body["object"] == "list"
    assert [item["id"] for item in body["data"]] == DEFAULTS
    for item in body["data"]:
        assert item["root"] == item["id"]
        assert 1_500_000_000 < item["created"] < 1_800_000_000
        assert item["owned_by"]
        assert item["pg_regions"] == ["yto-01"]
        assert item.get("pg_model_type") in {"chat", "embedding", None}
    assert "pg_model_type" not in body["data"][2]


def test_the_list_says_in_which_layout_the_weights_run(client: TestClient) -> None:
    chat, *others = client.get("/v1/models").json()["data"]
    found = weights(pulled("smollm2-135m-instruct")[0], CACHE)
    assert found is not None
    assert chat["pg_quantization"] == found.layout
    assert chat["pg_weights"] == {
        "layout": found.layout,
        "published": "Q4_1",
        "perplexity_ratio": found.perplexity_ratio,
        "speedup": found.speedup,
    }
    assert found.perplexity_ratio is None or found.perplexity_ratio <= 1.02
    assert client.get("/v1/models/smollm2").json()["pg_weights"] == chat["pg_weights"]
    assert not any("pg_quantization" in item or "pg_weights" in item for item in others)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("hexgrad%2FKokoro-82M", "kokoro-82m"),
        ("hexgrad/Kokoro-82M", "kokoro-82m"),
        ("local/kokoro-82m", "kokoro-82m"),
        ("yto-01%2Fwhisper-1", "whisper-tiny.en"),
        ("YTO-01/whisper-1", "whisper-tiny.en"),
        ("tada-3b-ml", "kokoro-82m"),
        ("HumeAI/tada-3b-ml", "kokoro-82m"),
        ("QWEN-3.5-9B", "smollm2-135m-instruct"),
    ],
)
def test_a_model_is_found_by_any_of_its_names(client: TestClient, name: str, found: str) -> None:
    assert client.get(f"/v1/models/{name}").json()["id"] == found


@pytest.mark.parametrize("name", ["nope", "nyc-01/kokoro-82m", "a/b/c", "x" * 20_000])
def test_other_models_are_not_found(client: TestClient, name: str) -> None:
    response = client.get(f"/v1/models/{name}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert len(response.content) < 1000


@pytest.mark.parametrize("name", ["hibari", "maureesewilliams/hibari", "local/hibari"])
def test_a_model_of_the_catalogue_that_is_not_served_here_says_so(client: TestClient, name: str) -> None:
    response = client.get(f"/v1/models/{name}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_loaded"
    assert response.json()["detail"].startswith("Model not loaded: hibari")


def test_status_is_not_a_model(client: TestClient) -> None:
    body = client.get("/v1/models/status").json()
    assert body == {
        "loaded": DEFAULTS,
        "loading_status": dict.fromkeys(DEFAULTS, "loaded"),
        "repository": "/models",
    }
