from typing import Any

import pytest
from starlette.requests import Request

from edge.accounts import Billing, Key, Limits, Scope, Tenant
from edge.accounts.idempotency import Identity
from edge.api.identity import KEY_SECONDS, has_identity, identify
from edge.errors import InvalidField

JSON = "application/json"
CLIENTS_ID = "req_1764000000_0a1b2c3d4"


def request(
    body: bytes = b"{}", *, path: str = "/v1/x", query: bytes = b"", method: str = "POST", **headers: str
) -> tuple[Request, bytes]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": raw}
    return Request(scope), body


def key(name: str = "k", tenant: str = "t", models: frozenset[str] | None = None) -> Key:
    owner = Tenant(tenant, tenant, Billing.UNMETERED, Limits(), "2026-01-01T00:00:00Z")
    return Key(name, owner, name, frozenset({Scope.INFERENCE}), "2026-01-01T00:00:00Z", models=models)


def identity(
    sent: tuple[Request, bytes], by: Key | None = None, *, seconds: float = 300, sealed: bool = False
) -> Identity:
    made = identify(sent[0], by or key(), sent[1], request_id_seconds=seconds, sealed=sealed)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("has", "headers"),
    [
        (True, {"idempotency_key": "a"}),
        (True, {"idempotency_key": "a", "content_type": "multipart/form-data; boundary=x"}),
        (True, {"x_request_id": CLIENTS_ID, "content_type": JSON}),
        (True, {"x_request_id": CLIENTS_ID, "content_type": "Application/JSON; charset=utf-8"}),
        (False, {"x_request_id": CLIENTS_ID, "content_type": JSON, "accept": "text/event-stream"}),
        (False, {"x_request_id": CLIENTS_ID, "content_type": "multipart/form-data; boundary=x"}),
        (False, {"x_request_id": "6f8f0c2e-7a55-4f0a-9d3c-0f4f2a1b9c3d", "content_type": JSON}),
        (False, {"x_request_id": "a", "content_type": JSON}),
        (False, {"content_type": JSON}),
    ],
)
def test_which_requests_have_a_name(has: bool, headers: dict[str, Any]) -> None:
    assert has_identity(request(**headers)[0]) is has


def test_only_posts_have_one() -> None:
    assert not has_identity(request(method="GET", idempotency_key="a")[0])
    assert not has_identity(request(method="DELETE", idempotency_key="a")[0])


def test_an_idempotency_key_is_its_tenants_for_a_day() -> None:
    own = identity(request(idempotency_key="a"))
    assert own.keep_seconds == KEY_SECONDS == 86400
    assert own.fleetwide
    assert identity(request(idempotency_key="a"), key("other")).id == own.id
    assert identity(request(idempotency_key="a"), key(tenant="u")).id != own.id
    assert identity(request(idempotency_key="b")).id != own.id


def test_a_key_for_some_models_reads_no_answer_of_others() -> None:
    sent = request(idempotency_key="a")
    some = identity(sent, key(models=frozenset("xy")))
    assert some.id not in {identity(sent).id, identity(sent, key(models=frozenset("x"))).id}
    assert some.id == identity(sent, key("rotated", models=frozenset("yx"))).id


@pytest.mark.parametrize("other", [{"body": b"{} "}, {"path": "/v1/y"}, {"query": b"sync=true"}])
def test_another_request_under_the_same_key_has_another_fingerprint(other: dict[str, Any]) -> None:
    own, different = identity(request(idempotency_key="a")), identity(request(idempotency_key="a", **other))
    assert own.id == different.id
    assert own.fingerprint != different.fingerprint


def test_the_boundary_of_a_form_says_nothing() -> None:
    def form(boundary: str, quote: str = "") -> tuple[Request, bytes]:
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--{boundary}--\r\n'
        content_type = f"multipart/form-data; boundary={quote}{boundary}{quote}"
        return request(body.encode(), idempotency_key="a", content_type=content_type)

    assert identity(form("one")).fingerprint == identity(form("two", '"')).fingerprint
    assert identity(form("one")).fingerprint != identity((form("one")[0], b"--one\r\nother")).fingerprint


@pytest.mark.parametrize("given", ["", " a", "a" * 256, "ä", "a\tb", "a "])
def test_what_is_no_idempotency_key_is_refused(given: str) -> None:
    with pytest.raises(InvalidField) as caught:
        identity(request(idempotency_key=given))
    assert caught.value.param == "Idempotency-Key"


def test_the_longest_key_is_taken() -> None:
    identity(request(idempotency_key="a" * 255))


def test_a_request_id_is_a_name_for_the_same_body_of_the_same_key_for_a_short_time() -> None:
    sent: dict[str, Any] = {"x_request_id": "req_1_abc", "content_type": JSON}
    own = identity(request(**sent))
    assert own.keep_seconds == 300
    assert not own.fleetwide
    assert identity(request(**sent)) == own
    assert identity(request(b'{"a":1}', **sent)).id != own.id
    assert identity(request(**sent), key("other")).id != own.id
    assert identity(request(**sent | {"x_request_id": "req_2_abc"})).id != own.id
    assert identify(*_apart(request(**sent)), request_id_seconds=0, sealed=False) is None


def _apart(sent: tuple[Request, bytes]) -> tuple[Request, Key, bytes]:
    return sent[0], key(), sent[1]


def test_an_idempotency_key_comes_before_a_request_id() -> None:
    sent: dict[str, Any] = {"x_request_id": CLIENTS_ID, "content_type": JSON, "idempotency_key": "a"}
    assert identity(request(**sent)).id == identity(request(idempotency_key="a")).id


def test_a_sealed_answer_is_sealed_with_the_callers_key_which_is_not_shown() -> None:
    sent = request(idempotency_key="a", authorization="Bearer pg_secret")
    assert identity(sent).secret is None
    made = identity(sent, sealed=True)
    assert made.secret == "pg_secret"
    assert "pg_secret" not in repr(made)
