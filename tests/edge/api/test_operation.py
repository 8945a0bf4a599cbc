import time

import anyio
import pytest

from edge.accounts import Scope, open_registry
from edge.api.operation import Access
from edge.api.table import OPERATIONS
from edge.store import KeyStore
from tests.edge.api.conftest import Edge

LOOKING = frozenset({Scope.INFERENCE, Scope.READ})

ACCESS = {
    "POST /v1/chat/completions": Scope.INFERENCE,
    "POST /v1/completions": Scope.INFERENCE,
    "POST /v1/completions/stream": Scope.INFERENCE,
    "POST /v1/embeddings": Scope.INFERENCE,
    "POST /v1/audio/speech": Scope.INFERENCE,
    "POST /v1/audio/transcriptions": Scope.INFERENCE,
    "GET /v1/models": LOOKING,
    "GET /v1/models/status": LOOKING,
    "POST /v1/models/load": Scope.SUPERADMIN,
    "POST /v1/models/unload": Scope.SUPERADMIN,
    "POST /v1/models/unload-all": Scope.SUPERADMIN,
    "GET /v1/models/{model:path}": LOOKING,
    "GET /v1/usage": LOOKING,
    "GET /v1/credits": LOOKING,
    "POST /v1/credits/grants": Scope.SUPERADMIN,
    "GET /health": Access.OPEN,
    "GET /internal/status": Access.INTERNAL,
    "GET /metrics": Access.INTERNAL,
    "GET /openapi.json": Access.OPEN,
    "GET /docs": Access.OPEN,
    "GET /docs/assets/{name}": Access.OPEN,
}


def test_every_operation_is_open_to_whom_is_written_here() -> None:
    assert {operation.key: operation.access for operation in OPERATIONS} == ACCESS


CLOSED = [key for key, access in ACCESS.items() if access not in (Access.OPEN, Access.INTERNAL)]


@pytest.mark.parametrize("operation", CLOSED)
@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        (None, "Missing API key"),
        ("", "Missing API key"),
        ("Bearer", "Missing API key"),
        ("Bearer ", "Missing API key"),
        ("Basic cGc6eA==", "Missing API key"),
        ("Bearer pg_wrong", "Invalid API key"),
        ("Bearer sk-other", "Invalid API key"),
        ("Bearer pg_" + "x" * 10_000, "Invalid API key"),
    ],
)
def test_without_a_valid_key_everything_is_closed(
    edge: Edge, operation: str, authorization: str | None, detail: str
) -> None:
    method, path = operation.split()
    headers = {} if authorization is None else {"Authorization": authorization}
    response = edge.client.request(method, path.replace("{model:path}", "x"), headers=headers)
    assert response.status_code == 401
    assert response.json()["detail"].startswith(detail)
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_key_stops_within_the_stated_time(edge: Edge) -> None:
    async def revoke() -> None:
        async with open_registry(edge.home, None) as registry:
            (key_id,) = [key.id async for key in registry.keys.all() if key.name == "to be revoked"]
            assert await registry.keys.revoke(key_id)

    raw = edge.key(Scope.INFERENCE, name="to be revoked")
    headers = {"authorization": f"bearer {raw}"}
    assert edge.client.get("/v1/models", headers=headers).status_code == 200
    anyio.run(revoke)
    time.sleep(0.3)
    assert edge.client.get("/v1/models", headers=headers).status_code == 401


def test_a_database_that_fails_is_never_a_bad_key(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.store import StoreError

    async def fail(*_: object) -> None:
        raise StoreError("locked")

    monkeypatch.setattr(KeyStore, "find", fail)
    response = edge.client.get("/v1/models", headers={"Authorization": "Bearer pg_never_seen"})
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert "locked" not in response.text
