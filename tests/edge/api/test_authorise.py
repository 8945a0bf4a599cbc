import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient

from edge.accounts import Billing, Scope, open_registry
from edge.api.operation import Access
from edge.api.table import OPERATIONS
from edge.app import build_app
from edge.models import load_catalogue
from edge.models.served import ServedModels
from edge.settings import EdgeSettings
from shared.http.drain import Drain
from tests.edge.accounts.issuer import ISSUER, PUBLISHED, token
from tests.edge.api.conftest import Edge, make_key

FILE = {"file": ("a.wav", b"a b")}
MODELS: dict[str, dict[str, Any]] = {
    "POST /v1/chat/completions": {
        "json": {"model": "smollm2", "messages": [{"role": "user", "content": "hello"}]}
    },
    "POST /v1/completions": {"json": {"model": "smollm2", "prompt": "a"}},
    "POST /v1/completions/stream": {"json": {"model": "smollm2", "prompt": "a"}},
    "POST /v1/embeddings": {"json": {"model": "bge-m3", "input": "a"}},
    "POST /v1/audio/speech": {"json": {"model": "tts-1", "input": "a", "voice": "nova"}},
    "POST /v1/audio/transcriptions": {"data": {"model": "whisper-1"}, "files": FILE},
    "POST /v1/audio/translations": {"data": {"model": "whisper-1"}, "files": FILE},
}
"""A request to each route that runs a model: a good one, but for a translation by a model that cannot."""

RUNNING = [
    operation.key
    for operation in OPERATIONS
    if operation.method == "POST"
    and operation.access is not Access.OPEN
    and operation.scopes == {Scope.INFERENCE}
]


def test_every_route_that_runs_a_model_is_in_the_table() -> None:
    assert sorted(RUNNING) == sorted(MODELS)


@pytest.mark.parametrize("operation", MODELS)
def test_a_key_for_other_models_is_refused(edge: Edge, operation: str) -> None:
    method, path = operation.split()
    served = 400 if "translations" in operation else 200
    for models, status in [(frozenset({"hibari", "whisper-base"}), 403), (None, served)]:
        headers = {"Authorization": f"Bearer {edge.key(Scope.INFERENCE, models=models)}"}
        answer = edge.client.request(method, path, headers=headers, **MODELS[operation])
        assert answer.status_code == status, answer.text
        if status == 403:
            assert answer.json()["error"]["code"] == "model_not_allowed"
            assert answer.json()["error"]["param"] == "model"
            assert "hibari, whisper-base only" in answer.json()["detail"]


def test_a_key_for_other_models_gets_no_job(edge: Edge) -> None:
    headers = {"Authorization": f"Bearer {edge.key(Scope.INFERENCE, models=frozenset({'hibari'}))}"}
    url = "/v1/audio/transcriptions?model=whisper-1"
    assert edge.client.post(url, headers=headers, files=FILE).status_code == 403
    assert edge.client.get("/v1/audio/transcriptions", headers=headers).json()["jobs"] == []


def test_a_key_sees_the_models_that_it_is_for(edge: Edge) -> None:
    raw = edge.key(Scope.INFERENCE, models=frozenset({"kokoro-82m"}))
    headers = {"Authorization": f"Bearer {raw}"}
    listed = edge.client.get("/v1/models", headers=headers).json()["data"]
    assert [model["id"] for model in listed] == ["kokoro-82m"]
    assert edge.client.get("/v1/models/tts-1", headers=headers).status_code == 200
    refused = edge.client.get("/v1/models/smollm2", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.fixture(scope="module")
def issuer_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("issuer")

    async def make() -> None:
        async with open_registry(home, None) as registry:
            await registry.tenants.create("acme", "Acme", Billing.PREPAID)

    anyio.run(make)
    return home


@pytest.fixture(scope="module")
def trusting(issuer_home: Path) -> Iterator[TestClient]:
    """An edge without models that takes the tokens of an issuer."""
    keys = issuer_home / "keys.json"
    keys.write_bytes(PUBLISHED)
    settings = EdgeSettings(home=issuer_home, edge_models=(), jwt_issuer=ISSUER, jwt_jwks=str(keys))
    models = ServedModels(load_catalogue(), settings)
    with TestClient(build_app(settings, models, Drain()), raise_server_exceptions=False) as client:
        yield client


def get(client: TestClient, bearer: str, path: str = "/v1/models") -> tuple[int, Any]:
    answer = client.get(path, headers={"Authorization": f"Bearer {bearer}"})
    return answer.status_code, answer.json()


def test_a_session_token_is_taken_where_a_key_is(trusting: TestClient, issuer_home: Path) -> None:
    assert get(trusting, token())[0] == 200
    assert get(trusting, make_key(issuer_home, Scope.READ))[0] == 200
    assert get(trusting, token(scope="keys"))[1]["error"]["code"] == "missing_scope"
    assert get(trusting, token(), "/v1/tokens")[0] == 403


@pytest.mark.parametrize(
    ("bearer", "detail"),
    [
        ("nonsense", "Invalid token: Not enough segments"),
        (token(exp=int(time.time()) - 5), "Token has expired"),
        ("pg_unknown", "Invalid API key"),
    ],
)
def test_a_bad_token_is_a_401_with_its_reason(trusting: TestClient, bearer: str, detail: str) -> None:
    status, answer = get(trusting, bearer)
    assert (status, answer["detail"], answer["error"]["code"]) == (401, detail, "invalid_api_key")


def test_a_token_of_a_tenant_that_there_is_not_is_a_403(trusting: TestClient) -> None:
    status, answer = get(trusting, token(tenant="nobody"))
    assert (status, answer["error"]["code"]) == (403, "unknown_tenant")


def test_a_user_makes_keys_for_his_tenant_that_outlive_his_session(trusting: TestClient) -> None:
    headers = {"Authorization": f"Bearer {token(tenant='acme', scope='keys inference')}"}
    made = trusting.post("/v1/tokens", headers=headers, json={"displayName": "mine"})
    assert made.status_code == 201
    assert (made.json()["tenant_id"], made.json()["expires_at"]) == ("acme", None)
    assert get(trusting, made.json()["key"])[0] == 200


def test_keys_of_the_issuer_out_of_reach_are_a_503(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.json")
    settings = EdgeSettings(home=tmp_path, edge_models=(), jwt_issuer=ISSUER, jwt_jwks=missing)
    models = ServedModels(load_catalogue(), settings)
    with TestClient(build_app(settings, models, Drain())) as client:
        status, answer = get(client, token())
    assert (status, answer["error"]["code"]) == (503, "store_unavailable")
