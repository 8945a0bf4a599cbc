import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from edge.accounts import Scope
from edge.app import build_app
from edge.models import load_catalogue
from edge.models.served import ServedModels
from edge.settings import EdgeSettings
from shared.edge_status import EdgeStatus, decode
from shared.http.drain import Drain
from tests.edge.api.conftest import INTERNAL_SECRET, Edge

HEADERS = {"Authorization": f"Bearer {INTERNAL_SECRET.get_secret_value()}"}


def status_of(edge: Edge) -> EdgeStatus:
    response = edge.client.get("/internal/status", headers=HEADERS)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/msgpack"
    assert response.headers["cache-control"] == "no-store"
    return decode(response.content)


def test_it_tells_every_served_model_by_all_its_names(edge: Edge) -> None:
    status = status_of(edge)
    assert (status.version, status.region, status.draining) == (1, "yto-01", False)
    assert [model.id for model in status.models] == [served.id for served in edge.models]
    for told, served in zip(status.models, edge.models, strict=True):
        assert told.names == (served.id, *served.model.aliases)
        assert told.state == "loaded"
        assert (told.soft_limit, told.limit) == (32, 64)
    assert any(len(model.names) > 1 for model in status.models)


def test_it_tells_how_busy_a_model_is(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    served = edge.models.find("smollm2")
    monkeypatch.setattr(served.worker, "_waiting", 5)
    told = {model.id: model.in_flight for model in status_of(edge).models}
    assert told.pop(served.id) >= 5
    assert set(told.values()) == {0}


def test_a_model_that_is_unloaded_is_not_told(edge: Edge) -> None:
    operator = {"Authorization": f"Bearer {edge.key(Scope.SUPERADMIN)}"}
    body = {"model_name": "kokoro-82m"}
    assert edge.client.post("/v1/models/unload", headers=operator, json=body).status_code == 200
    try:
        assert "kokoro-82m" not in {model.id for model in status_of(edge).models}
    finally:
        assert edge.client.post("/v1/models/load", headers=operator, json=body).status_code == 200
    deadline = time.monotonic() + 60
    while {model.id: model.state for model in status_of(edge).models}.get("kokoro-82m") != "loaded":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_answers_while_draining_and_says_so(edge: Edge) -> None:
    edge.drain.draining = True
    try:
        assert status_of(edge).draining
    finally:
        edge.drain.draining = False


@pytest.mark.parametrize("authorization", [None, "Bearer ", "Bearer shared-by-the-gri", "Basic c2hhcmVk"])
def test_without_the_secret_it_is_closed(edge: Edge, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = edge.client.get("/internal/status", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_internal_secret"
    assert response.json()["detail"]


def test_no_api_key_opens_it(edge: Edge) -> None:
    headers = {"Authorization": f"Bearer {edge.key(*Scope)}"}
    assert edge.client.get("/internal/status", headers=headers).status_code == 401


def test_the_secret_is_no_api_key(edge: Edge) -> None:
    assert edge.client.get("/v1/models", headers=HEADERS).status_code == 401


@pytest.mark.parametrize("headers", [{}, HEADERS, {"Authorization": "Bearer None"}])
def test_an_edge_without_a_secret_refuses_everybody_and_says_why(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    settings = EdgeSettings(home=tmp_path, cache=tmp_path, edge_models=())
    models = ServedModels(load_catalogue(), settings)
    with TestClient(build_app(settings, models, Drain())) as client:
        response = client.get("/internal/status", headers=headers)
    assert response.status_code == 403
    assert "NEAREDGE_INTERNAL_SECRET" in response.json()["detail"]


def test_an_edge_without_models_tells_none(tmp_path: Path) -> None:
    settings = EdgeSettings(home=tmp_path, cache=tmp_path, edge_models=(), internal_secret=INTERNAL_SECRET)
    models = ServedModels(load_catalogue(), settings)
    with TestClient(build_app(settings, models, Drain())) as client:
        status = decode(client.get("/internal/status", headers=HEADERS).content)
    assert status.models == ()
