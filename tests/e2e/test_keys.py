"""Keys made and revoked on the command line, at edges that run."""

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.errors import assert_error
from tests.e2e.grids import Grid
from tests.e2e.services import create_key, run

INFERENCE = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/completions/stream"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/audio/transcriptions"),
]
LOOKING = ["/v1/models", "/v1/models/status", "/v1/models/kokoro-82m"]
OPERATOR = [("POST", f"/v1/models/{verb}") for verb in ("load", "unload", "unload-all")]
TOKENS = [
    ("POST", "/v1/tokens"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens/key_0/rotate"),
    ("DELETE", "/v1/tokens/key_0"),
]
GUARDED = [*INFERENCE, *OPERATOR, *TOKENS, *(("GET", path) for path in LOOKING)]
OPEN = ["/health", "/openapi.json", "/docs", "/docs/assets/swagger-ui.css"]


def ask(url: str, key: str) -> httpx.Response:
    return httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=60)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Basic cGdfOng=",
        b"pg_without_a_scheme",
        b"Bearer pg_unknown",
        b"Bearer sk-of-another-kind",
        b"Bearer pg_" + b"x" * 10_000,
        b"Bearer pg_\xff\xfe",
        b"Bearer pg_' OR 1=1 --",
    ],
)
@pytest.mark.parametrize(("verb", "path"), GUARDED)
def test_no_path_is_served_without_a_good_key(
    edge_url: str, verb: str, path: str, authorization: bytes | None
) -> None:
    headers = httpx.Headers([] if authorization is None else [(b"Authorization", authorization)])

    answer = httpx.request(verb, f"{edge_url}{path}", headers=headers, timeout=60)

    error = assert_error(answer, 401, "API key")
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", OPEN)
def test_what_is_open_stays_open_with_a_bad_key(edge_url: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer pg_unknown"}):
        assert httpx.get(f"{edge_url}{path}", headers=headers, timeout=60).status_code == 200


@pytest.mark.parametrize(("verb", "path"), INFERENCE)
def test_a_key_without_the_scope_is_refused(
    edge_url: str, operator_only_key: str, verb: str, path: str
) -> None:
    headers = {"Authorization": f"Bearer {operator_only_key}"}

    error = assert_error(
        httpx.request(verb, f"{edge_url}{path}", headers=headers, timeout=60), 403, "inference"
    )

    assert (error["type"], error["code"]) == ("permission_error", "missing_scope")


@pytest.mark.parametrize("path", LOOKING)
def test_an_operators_key_may_look_at_the_models(edge_url: str, operator_only_key: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {operator_only_key}"}

    assert httpx.get(f"{edge_url}{path}", headers=headers, timeout=60).status_code == 200


def test_both_keys_of_the_grid_open_every_edge(grid: Grid) -> None:
    for url in grid.edges.values():
        assert ask(url, grid.inference_key).status_code == 200
        assert ask(url, grid.operator_key).status_code == 200


def test_a_revoked_key_stops_within_a_second(grid: Grid) -> None:
    made = create_key(grid.home, "inference")
    for url in grid.edges.values():
        assert ask(url, made["key"]).status_code == 200

    done = run("keys", "revoke", made["id"], "--home", grid.home)
    time.sleep(1.1)

    assert done.returncode == 0, done.stderr
    for url in grid.edges.values():
        assert_error(ask(url, made["key"]), 401, "Invalid API key")
    again = run("keys", "revoke", made["id"], "--home", grid.home)
    assert again.returncode == 1
    assert "no active key" in again.stderr


def test_a_new_key_has_the_scope_inference_and_works_at_once(grid: Grid, edge_url: str) -> None:
    made = create_key(grid.home)

    assert made["tenant_id"] == "default"
    assert made["key"].startswith("pg_")
    assert ask(edge_url, made["key"]).status_code == 200


def test_the_key_itself_is_nowhere_on_disk(grid: Grid) -> None:
    made = create_key(grid.home, "inference")
    listed = json.loads(run("keys", "list", "--home", grid.home, "--json").stdout)

    assert made["id"] in {key["id"] for key in listed}
    for secret in (made["key"], grid.inference_key, grid.operator_key):
        files = [path for path in grid.home.rglob("*") if path.is_file()]
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
        assert secret not in Path(grid.service.log).read_text("utf-8")
        assert secret not in json.dumps(listed)
