import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from edge.accounts import Scope, open_registry
from edge.api.operation import Access
from edge.api.table import OPERATIONS
from edge.store import KeyStore
from tests.edge.api.conftest import Edge

RUNNING = frozenset({Scope.INFERENCE})
LOOKING = frozenset({Scope.INFERENCE, Scope.READ, Scope.SUPERADMIN})
KEEPING = frozenset({Scope.KEYS, Scope.SUPERADMIN})
OPERATING = frozenset({Scope.SUPERADMIN})

ACCESS: dict[str, Access | frozenset[Scope]] = {
    "POST /v1/chat/completions": RUNNING,
    "POST /v1/completions": RUNNING,
    "POST /v1/completions/stream": RUNNING,
    "POST /v1/embeddings": RUNNING,
    "POST /v1/audio/speech": RUNNING,
    "GET /v1/audio/voices": LOOKING,
    "POST /v1/audio/transcriptions": RUNNING,
    "GET /v1/audio/transcriptions": RUNNING,
    "DELETE /v1/audio/transcriptions": RUNNING,
    "POST /v1/audio/translations": RUNNING,
    "GET /v1/models": LOOKING,
    "GET /v1/models/status": LOOKING,
    "POST /v1/models/load": OPERATING,
    "POST /v1/models/unload": OPERATING,
    "POST /v1/models/unload-all": OPERATING,
    "GET /v1/models/{model:path}": LOOKING,
    "POST /v1/tokens": KEEPING,
    "GET /v1/tokens": KEEPING,
    "POST /v1/tokens/{id}/rotate": KEEPING,
    "DELETE /v1/tokens/{id}": KEEPING,
    "GET /v1/usage": LOOKING,
    "GET /v1/credits": LOOKING,
    "POST /v1/credits/grants": OPERATING,
    "GET /health": Access.OPEN,
    "GET /internal/status": Access.INTERNAL,
    "GET /metrics": Access.INTERNAL,
    "GET /openapi.json": Access.OPEN,
    "GET /docs": Access.OPEN,
    "GET /docs/assets/{name}": Access.OPEN,
}
"""Which scopes open each route; any of them is enough."""

KEYED = [key for key, access in ACCESS.items() if not isinstance(access, Access)]
WRONG_BODY = b"[]"
"""Passes every guard and nothing after it, so that nothing is done."""


def app_routes(app: Any) -> Iterator[str]:
    """Yield every route of *app* below its middleware."""
    while not isinstance(app, Starlette):
        app = app.app
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is of a kind that this test does not know"
        for method in (route.methods or set()) - {"HEAD"}:
            yield f"{method} {route.path}"


def call(edge: Edge, operation: str, **headers: str) -> Any:
    method, path = operation.split()
    path = path.replace("{model:path}", "kokoro-82m").replace("{id}", "key_0").replace("{name}", "x")
    content = WRONG_BODY if method == "POST" else None
    return edge.client.request(method, path, headers=headers, content=content)


def test_every_route_of_the_app_is_in_the_table(edge: Edge) -> None:
    assert sorted(app_routes(edge.client.app)) == sorted(ACCESS)


def test_every_operation_is_declared_as_the_table_says() -> None:
    declared = {
        operation.key: operation.access if isinstance(operation.access, Access) else operation.scopes
        for operation in OPERATIONS
    }
    assert declared == ACCESS


@pytest.fixture(scope="module")
def keys_by_scope(edge: Edge) -> dict[Scope | None, str]:
    """A key of each scope alone, and one of none."""
    return {None: edge.key()} | {scope: edge.key(scope) for scope in Scope}


@pytest.mark.parametrize("scope", [None, *Scope])
@pytest.mark.parametrize("operation", KEYED)
def test_a_route_is_open_to_the_scopes_of_the_table_and_to_no_other(
    edge: Edge, keys_by_scope: dict[Scope | None, str], operation: str, scope: Scope | None
) -> None:
    scopes = ACCESS[operation]
    assert not isinstance(scopes, Access)
    response = call(edge, operation, authorization=f"Bearer {keys_by_scope[scope]}")
    if scope in scopes:
        assert response.status_code in {200, 400, 404}, response.text
        return
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "missing_scope"
    for wanted in scopes:
        assert wanted in response.json()["detail"]


@pytest.mark.parametrize("operation", [key for key, access in ACCESS.items() if access is Access.OPEN])
def test_an_open_route_needs_no_key(edge: Edge, operation: str) -> None:
    assert call(edge, operation).status_code in {200, 404}


@pytest.mark.parametrize("operation", KEYED)
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
    headers = {} if authorization is None else {"Authorization": authorization}
    response = call(edge, operation, **headers)
    assert response.status_code == 401
    assert response.json()["detail"].startswith(detail)
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_an_expired_key_is_told_so(edge: Edge) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1)
    headers = {"Authorization": f"Bearer {edge.key(Scope.READ, expires_at=ends)}"}
    while datetime.now(UTC) < ends:
        time.sleep(0.05)
    response = edge.client.get("/v1/models", headers=headers)
    assert (response.status_code, response.json()["detail"]) == (401, "The API key has expired")


def test_a_key_for_other_regions_is_refused_everywhere(edge: Edge) -> None:
    everything = edge.key(*Scope, regions=frozenset({"nyc-01", "yul-01"}))
    for operation in KEYED:
        response = call(edge, operation, authorization=f"Bearer {everything}")
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "region_not_allowed"
        assert "nyc-01, yul-01" in response.json()["detail"]
    here = edge.key(*Scope, regions=frozenset({"nyc-01", "yto-01"}))
    assert call(edge, "GET /v1/models", authorization=f"Bearer {here}").status_code == 200


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
