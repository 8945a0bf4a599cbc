from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import jsonschema
import pytest

from edge.accounts import Billing, Limits, Scope, open_registry
from edge.api.openapi import build
from edge.api.table import OPERATIONS
from edge.settings import EdgeSettings
from edge.store import KeyStore, StoreError
from tests.edge.api.conftest import Edge

DOCUMENT = build(OPERATIONS)
MINTER = (Scope.KEYS, Scope.INFERENCE)


@pytest.fixture(scope="module")
def tenant(edge: Edge) -> str:
    async def make() -> str:
        async with open_registry(edge.home, None) as registry:
            return (await registry.tenants.create("tokens", "Tokens", Billing.UNMETERED)).id

    return anyio.run(make)


class Caller:
    """Calls with one key."""

    def __init__(self, edge: Edge, raw: str) -> None:
        self._edge = edge
        self._headers = {"Authorization": f"Bearer {raw}"}

    def __call__(self, method: str, path: str, status: int = 200, **sent: Any) -> dict[str, Any]:
        response = self._edge.client.request(method, path, headers=self._headers, **sent)
        assert response.status_code == status, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def mint(self, status: int = 201, **body: Any) -> dict[str, Any]:
        return self("POST", "/v1/tokens", status, json=body)

    def may_run(self) -> int:
        body = {"model": "smollm2", "messages": [{"role": "user", "content": "hello"}]}
        return self._edge.client.post("/v1/chat/completions", headers=self._headers, json=body).status_code


def caller(edge: Edge, *scopes: Scope, **bounds: Any) -> Caller:
    return Caller(edge, edge.key(*scopes, **bounds))


def check(answer: Any, path: str, method: str, status: str) -> None:
    content = DOCUMENT["paths"][path][method]["responses"][status]["content"]["application/json"]
    schema = content["schema"] | {"components": DOCUMENT["components"]}
    jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)


def test_a_key_is_made_shown_once_and_works(edge: Edge, tenant: str) -> None:
    me = caller(edge, *MINTER, tenant_id=tenant)
    made = me.mint(displayName="ci")
    check(made, "/v1/tokens", "post", "201")
    assert made["key"] == made["token"]
    assert made["key"].startswith("pg_")
    assert (made["name"], made["displayName"], made["tenant_id"]) == ("ci", "ci", tenant)
    assert (made["scopes"], made["status"], made["expires_at"]) == (["inference"], "active", None)
    assert Caller(edge, made["key"]).may_run() == 200
    listed = me("GET", "/v1/tokens", params={"limit": 1000})
    check(listed, "/v1/tokens", "get", "200")
    assert {name: value for name, value in made.items() if name not in {"key", "token"}} in listed["data"]
    assert made["key"][3:] not in str(listed)


def test_the_answer_is_kept_by_no_cache(edge: Edge) -> None:
    headers = {"Authorization": f"Bearer {edge.key(*MINTER)}"}
    answer = edge.client.post("/v1/tokens", headers=headers, json={})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")


def test_all_that_was_asked_for_is_in_the_key(edge: Edge, tenant: str) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=5)
    made = caller(edge, *MINTER, tenant_id=tenant).mint(
        name="full",
        scopes=["keys", "inference"],
        expires_at=ends.astimezone().isoformat(),
        models=["smollm2", "kokoro-82m"],
        regions=["toronto", "NYC-01"],
        limits={"requests_per_minute": 5, "concurrent_requests": 2},
    )
    assert made["scopes"] == ["inference", "keys"]
    assert datetime.fromisoformat(made["expires_at"]) == ends
    assert made["expires_at"].endswith("Z")
    assert made["models"] == ["kokoro-82m", "smollm2-135m-instruct"]
    assert made["regions"] == ["nyc-01", "yto-01"]
    assert made["limits"] == {"requests_per_minute": 5, "tokens_per_minute": None, "concurrent_requests": 2}
    child = Caller(edge, made["key"]).mint(expires_in=60)
    assert (child["models"], child["regions"], child["limits"]) == (
        made["models"],
        made["regions"],
        made["limits"],
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"scopes": ["admin"]}, "scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"displayName": ""}, "displayName"),
        ({"displayName": "a\0b"}, None),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, None),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 60, "expires_at": "2030-01-01T00:00:00Z"}, "expires_in"),
        ({"models": ["no-such-model"]}, "models"),
        ({"models": []}, "models"),
        ({"regions": ["atlantis"]}, "regions"),
        ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"tenant_id": "no such"}, "tenant_id"),
    ],
)
def test_what_cannot_be_is_a_400_that_names_the_field(edge: Edge, body: Any, param: str | None) -> None:
    error = caller(edge, *MINTER).mint(400, **body)["error"]
    assert error["param"] == param


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["superadmin"]}, "scopes"),
        ({"scopes": ["read"]}, "scopes"),
        ({"models": ["whisper-1"]}, "models"),
        ({"regions": ["nyc-01"]}, "regions"),
        ({"limits": {"tokens_per_minute": 101}}, "limits.tokens_per_minute"),
        ({"expires_in": 7200}, "expires_at"),
        ({"tenant_id": "default"}, "tenant_id"),
    ],
)
def test_a_key_makes_none_that_can_do_more(edge: Edge, tenant: str, body: Any, field: str) -> None:
    bounds = {
        "tenant_id": tenant,
        "models": frozenset({"smollm2-135m-instruct"}),
        "regions": frozenset({"yto-01"}),
        "limits": Limits(None, 100, None),
        "expires_at": datetime.now(UTC) + timedelta(hours=1),
    }
    refused = caller(edge, *MINTER, **bounds).mint(403, **body)
    assert (refused["error"]["code"], refused["error"]["param"]) == ("exceeds_key", field)


def test_a_key_with_the_default_limit_makes_none_with_a_higher_one(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EdgeSettings, "edge_requests_per_minute", property(lambda _: 100), raising=False)
    minter = caller(edge, *MINTER)
    refused = minter.mint(403, limits={"requests_per_minute": 1_000_000})
    assert refused["error"]["param"] == "limits.requests_per_minute"
    high = caller(edge, Scope.SUPERADMIN).mint(limits={"requests_per_minute": 1_000_000})
    assert minter("POST", f"/v1/tokens/{high['id']}/rotate", 403)["error"]["code"] == "exceeds_key"


def test_a_key_without_inference_must_say_what_it_makes(edge: Edge) -> None:
    keeper = caller(edge, Scope.KEYS)
    assert keeper.mint(403)["error"]["param"] == "scopes"
    assert keeper.mint(scopes=["keys"])["scopes"] == ["keys"]


def test_an_operator_makes_any_key_for_any_tenant(edge: Edge, tenant: str) -> None:
    operator = caller(edge, Scope.SUPERADMIN)
    made = operator.mint(tenant_id=tenant, scopes=["keys", "superadmin"])
    assert (made["tenant_id"], made["scopes"]) == (tenant, ["keys", "superadmin"])
    assert operator.mint(400, tenant_id="nobody")["error"]["param"] == "tenant_id"
    listed = operator("GET", "/v1/tokens", params={"tenant_id": tenant, "limit": 1000})["data"]
    assert made["id"] in {key["id"] for key in listed}
    assert {key["tenant_id"] for key in listed} == {tenant}
    operator("DELETE", f"/v1/tokens/{made['id']}")


def test_pages_hold_every_key_once(edge: Edge) -> None:
    async def make() -> str:
        async with open_registry(edge.home, None) as registry:
            return (await registry.tenants.create("paged", "Paged", Billing.UNMETERED)).id

    me = caller(edge, *MINTER, tenant_id=anyio.run(make))
    made = [me.mint()["id"] for _ in range(4)]
    seen: list[str] = []
    cursor = None
    for _ in range(9):
        page = me("GET", "/v1/tokens", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        assert len(page["data"]) <= 2
        seen += [key["id"] for key in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert set(made) < set(seen)


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": "x"}, {"limit": 1001}, {"cursor": "x"}, {"cursor": ""}]
)
def test_a_query_that_cannot_be_is_a_400(edge: Edge, query: dict[str, Any]) -> None:
    answer = caller(edge, *MINTER)("GET", "/v1/tokens", 400, params=query)
    assert answer["error"]["param"] == next(iter(query))


def test_a_rotated_key_goes_on_for_the_overlap(edge: Edge, tenant: str) -> None:
    me = caller(edge, *MINTER, tenant_id=tenant)
    old = me.mint(name="old", limits={"requests_per_minute": 60})
    for body, seconds in [({"overlap_seconds": 3600}, 3600), (None, 86400), ({"overlap_seconds": 0}, 0)]:
        new = me("POST", f"/v1/tokens/{old['id']}/rotate", 201, json=body)
        check(new, "/v1/tokens/{id}/rotate", "post", "201")
        assert new["key"] != old["key"]
        assert (new["rotated_from"], new["name"], new["limits"]) == (old["id"], "old", old["limits"])
        assert Caller(edge, new["key"]).may_run() == 200
        listed = me("GET", "/v1/tokens", params={"limit": 1000})["data"]
        (ending,) = [key for key in listed if key["id"] == old["id"]]
        left = datetime.fromisoformat(ending["expires_at"]) - datetime.now(UTC)
        assert seconds - 10 < left.total_seconds() <= seconds
        assert Caller(edge, old["key"]).may_run() == (200 if seconds else 401)
        if seconds == 0:
            assert me("POST", f"/v1/tokens/{old['id']}/rotate", 409)["error"]["code"] == "token_ended"
        old = new


def test_rotation_hands_out_no_key_that_can_do_more(edge: Edge) -> None:
    theirs = caller(edge, Scope.SUPERADMIN).mint(scopes=["superadmin"])
    for body in (None, {"overlap_seconds": 1}):
        refused = caller(edge, *MINTER)("POST", f"/v1/tokens/{theirs['id']}/rotate", 403, json=body)
        assert refused["error"]["code"] == "exceeds_key"
    assert (
        caller(edge, *MINTER)("DELETE", f"/v1/tokens/{theirs['id']}", 403)["error"]["code"] == "exceeds_key"
    )


def test_a_revoked_key_ends_at_once_and_again_is_no_error(edge: Edge, tenant: str) -> None:
    me = caller(edge, *MINTER, tenant_id=tenant)
    made = me.mint()
    assert Caller(edge, made["key"]).may_run() == 200
    for _ in range(2):
        gone = me("DELETE", f"/v1/tokens/{made['id']}")
        check(gone, "/v1/tokens/{id}", "delete", "200")
        assert (gone["id"], gone["deleted"], gone["status"]) == (made["id"], True, "revoked")
        assert Caller(edge, made["key"]).may_run() == 401
    assert me("POST", f"/v1/tokens/{made['id']}/rotate", 409)["error"]["code"] == "token_ended"


def test_another_tenants_keys_are_not_there(edge: Edge, tenant: str) -> None:
    mine = caller(edge, *MINTER, tenant_id=tenant).mint()
    stranger = caller(edge, *MINTER)
    for method, path in [("DELETE", ""), ("POST", "/rotate")]:
        for key_id in (mine["id"], "key_0", "%00"):
            refused = stranger(method, f"/v1/tokens/{key_id}{path}", 404)
            assert refused["error"]["code"] == "token_not_found"
    refused = stranger("GET", "/v1/tokens", 403, params={"tenant_id": tenant})
    assert refused["error"]["code"] == "exceeds_key"
    listed = stranger("GET", "/v1/tokens", params={"limit": 1000})["data"]
    assert {key["tenant_id"] for key in listed} == {"default"}
    assert Caller(edge, mine["key"]).may_run() == 200


def test_a_database_out_of_reach_is_a_503(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    me = caller(edge, *MINTER)
    made = me.mint()

    async def fail(*_: object, **__: object) -> None:
        raise StoreError("down; the password is 1234")

    for name in ("add", "get", "page"):
        monkeypatch.setattr(KeyStore, name, fail)
    for method, path in [
        ("POST", "/v1/tokens"),
        ("GET", "/v1/tokens"),
        ("DELETE", f"/v1/tokens/{made['id']}"),
        ("POST", f"/v1/tokens/{made['id']}/rotate"),
    ]:
        sent: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = me(method, path, 503, **sent)
        assert answer["error"]["code"] == "store_unavailable"
        assert "1234" not in str(answer)
