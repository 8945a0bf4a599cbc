import functools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.testclient import TestClient

from edge.accounts import Scope
from edge.app import build_app
from shared.http.drain import Drain
from tests.edge.api.conftest import make_key
from tests.edge.models.small_models import SmallEdge, build, small_model
from tests.edge.models.test_gguf_header import write

LOAD, UNLOAD, UNLOAD_ALL = "/v1/models/load", "/v1/models/unload", "/v1/models/unload-all"


@dataclass
class Operated:
    """An edge of small models; *client* has an operator's key."""

    client: TestClient
    edge: SmallEdge
    user: dict[str, str]

    def status(self) -> dict[str, str]:
        body = self.client.get("/v1/models/status").json()
        states: dict[str, str] = body["loading_status"]
        assert body["loaded"] == [name for name, state in states.items() if state == "loaded"]
        return states

    def until(self, name: str, state: str) -> None:
        deadline = time.monotonic() + 30
        while self.status().get(name) != state:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def chat(self, name: str, prompt: str) -> Any:
        body = {"model": name, "prompt": prompt}
        return self.client.post("/v1/completions", json=body, headers=self.user)


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[Operated]:
    damaged = write(tmp_path / "whole.gguf").read_bytes()[:-100]
    edge = build(
        tmp_path,
        [
            small_model(tmp_path, "first", kind="chat"),
            small_model(tmp_path, "second", kind="chat"),
            small_model(tmp_path, "slow", kind="chat", sleep=2),
            small_model(tmp_path, "bad", kind="chat", fail="bad weights"),
            small_model(tmp_path, "damaged", damaged, kind="chat"),
        ],
        configured=["first"],
        wait_seconds=1.0,
    )
    app = build_app(edge.settings, edge.models, Drain(), edge.lifecycle)
    operator = make_key(edge.settings.home, Scope.SUPERADMIN)
    user = make_key(edge.settings.home, Scope.INFERENCE)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {operator}"
        made = Operated(client, edge, {"Authorization": f"Bearer {user}"})
        made.until("first", "loaded")
        yield made


def in_background(operated: Operated, threads: ThreadPoolExecutor) -> "Future[Any]":
    """Have a request without end in flight at the first model; return its answer to come."""
    answer = threads.submit(operated.chat, "first", "wait")
    served = operated.edge.models.find("first")
    deadline = time.monotonic() + 10
    while served.worker.in_flight == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    executor = ThreadPoolExecutor(2)
    yield executor
    executor.shutdown(wait=False)


def assert_failed(answer: Any, status: int, code: str, **fields: Any) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["status"] == "failed"
    assert body["detail"] == body["error"]["message"]
    assert body["error"]["code"] == code
    assert {name: body[name] for name in fields} == fields
    if "message" in body:
        assert body["message"] == body["detail"]


def test_load_use_unload_and_load_again(operated: Operated) -> None:
    assert operated.status() == {"first": "loaded"}
    assert operated.chat("second", "say hello").status_code == 404

    answer = operated.client.post(LOAD, json={"model_name": "who/second", "force_reload": False})
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "model": "second",
        "force_reload": False,
        "message": "second is loaded",
    }
    assert operated.status() == {"first": "loaded", "second": "loaded"}
    assert [model["id"] for model in operated.client.get("/v1/models").json()["data"]] == ["first", "second"]
    assert operated.chat("second", "say hello").json()["choices"][0]["text"] == "hello"

    worker = operated.edge.models.find("second").worker.pid
    assert worker is not None
    answer = operated.client.post(UNLOAD, json={"model_name": "second"})
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "model": "second",
        "message": "second is not loaded any more",
    }
    assert not psutil.pid_exists(worker)
    assert operated.status() == {"first": "loaded", "second": "unloaded"}
    assert [model["id"] for model in operated.client.get("/v1/models").json()["data"]] == ["first"]
    for refused in (operated.chat("second", "say hello"), operated.client.get("/v1/models/second")):
        assert refused.status_code == 404
        assert refused.json()["error"]["code"] == "model_not_loaded"
        assert refused.json()["detail"].startswith("Model not loaded: second")

    assert operated.client.post(UNLOAD, json={"model_name": "second"}).json()["status"] == "success"
    assert operated.client.post(LOAD, json={"model_name": "second"}).json()["status"] == "success"
    assert operated.chat("second", "say again").status_code == 200


def test_an_unloaded_model_is_how_it_is_meant_to_be(operated: Operated) -> None:
    assert operated.client.post(LOAD, json={"model_name": "second"}).status_code == 200
    assert operated.client.post(UNLOAD, json={"model_name": "first"}).status_code == 200
    health = operated.client.get("/health").json()
    assert health["status"] == "healthy"
    assert health["models"] == {"first": "unloaded", "second": "loaded"}
    assert health["features"]["dynamic_loading"] is True
    assert operated.client.post(UNLOAD_ALL).status_code == 200
    assert operated.client.get("/health").json()["status"] == "healthy"


def test_a_slow_load_is_one_job(operated: Operated) -> None:
    first = operated.client.post(LOAD, json={"model_name": "slow"})
    assert (first.status_code, first.json()["status"]) == (200, "loading")
    assert "slow is loading (starting, for" in first.json()["message"]
    assert operated.status()["slow"] == "loading"
    second = operated.client.post(LOAD, json={"model_name": "slow", "force_reload": True})
    assert second.json()["force_reload"] is True
    assert operated.chat("slow", "say hello").json()["choices"][0]["text"] == "hello"
    assert (
        operated.client.post(LOAD, json={"model_name": "slow"}).json()["message"] == "slow is loaded already"
    )
    assert operated.edge.pulled == ["slow"]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"model_name": "nobody/knows"}, (404, "model_not_found")),
        ({"model_name": "bad"}, (502, "load_failed")),
        ({"model_name": "damaged"}, (502, "damaged_model")),
    ],
)
def test_a_load_that_fails(operated: Operated, body: dict[str, str], refusal: tuple[int, str]) -> None:
    answer = operated.client.post(LOAD, json=body)
    assert_failed(answer, *refusal, model=body["model_name"], force_reload=False)
    if refusal[0] != 404:
        assert operated.status()[body["model_name"]] == "failed"
        assert operated.client.get("/health").json()["status"] == "healthy"


def test_a_load_without_memory_says_what_to_do(operated: Operated) -> None:
    operated.edge.memory.free = 1_000_000
    answer = operated.client.post(LOAD, json={"model_name": "second"})
    assert_failed(answer, 503, "insufficient_memory", model="second", force_reload=False)
    assert answer.headers["Retry-After"] == "10"
    assert "1.0 MB are free" in answer.json()["detail"]
    assert "unload another model: first" in answer.json()["detail"]
    assert operated.status()["first"] == "loaded"


def test_a_model_in_use_stays(operated: Operated, threads: ThreadPoolExecutor) -> None:
    answer = in_background(operated, threads)
    for path, body in [(UNLOAD, {}), (LOAD, {"force_reload": True})]:
        refused = operated.client.post(path, json=body | {"model_name": "first"})
        assert_failed(refused, 409, "model_busy", model="first")
        assert refused.json()["error"]["type"] == "conflict_error"
        assert "a request in flight" in refused.json()["detail"]
    refused = operated.client.post(UNLOAD_ALL)
    assert_failed(refused, 409, "model_busy", unloaded_models=[], total_unloaded=0)
    assert refused.json()["errors"] == [refused.json()["detail"]]
    assert operated.status()["first"] == "loaded"

    forced = operated.client.post(UNLOAD, json={"model_name": "first", "force": True})
    assert forced.json()["status"] == "success"
    ended = answer.result(10)
    assert ended.status_code == 502
    assert ended.json()["detail"] == "The model was unloaded"


def test_a_stream_that_is_thrown_out_ends_with_an_error_event(operated: Operated) -> None:
    force = functools.partial(operated.client.post, UNLOAD_ALL, json={"force": True})
    timer = threading.Timer(0.5, force)
    timer.start()
    body = {"model": "first", "prompt": "forever", "stream": True}
    answer = operated.client.post("/v1/completions", json=body, headers=operated.user)
    timer.join()
    *_, failure, done, rest = answer.text.split("\n\n")
    assert '"message":"The model was unloaded"' in failure
    assert (done, rest) == ("data: [DONE]", "")


def test_unload_all(operated: Operated, threads: ThreadPoolExecutor) -> None:
    operated.client.post(LOAD, json={"model_name": "second"})
    answer = in_background(operated, threads)
    partial = operated.client.post(UNLOAD_ALL, headers={"Content-Type": "application/json"})
    assert partial.status_code == 200
    body = partial.json()
    assert (body["status"], body["unloaded_models"], body["total_unloaded"]) == ("partial", ["second"], 1)
    assert body["errors"] == [
        "first has a request in flight; try again when they are done, or end them with force: true"
    ]
    whole = operated.client.post(UNLOAD_ALL, json={"force": True})
    assert whole.json() == {
        "status": "success",
        "unloaded_models": ["first"],
        "errors": [],
        "total_unloaded": 1,
    }
    assert answer.result(10).status_code == 502
    assert operated.client.post(UNLOAD_ALL, content=b" ").json()["total_unloaded"] == 0
    assert operated.status() == {"first": "unloaded", "second": "unloaded"}


@pytest.mark.parametrize(
    ("path", "content", "param"),
    [
        (LOAD, b"", None),
        (LOAD, b"{}", "model_name"),
        (LOAD, b'{"model_name": ""}', "model_name"),
        (LOAD, b'{"model_name": 3}', "model_name"),
        (LOAD, b'{"model_name": "first", "force_reload": "yes"}', "force_reload"),
        (UNLOAD, b"{}", "model_name"),
        (UNLOAD, b'{"model_name": "first", "force": 1}', "force"),
        (UNLOAD_ALL, b"[]", None),
        (UNLOAD_ALL, b'{"force": "yes"}', "force"),
    ],
)
def test_bad_bodies(operated: Operated, path: str, content: bytes, param: str | None) -> None:
    answer = operated.client.post(path, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert operated.status() == {"first": "loaded"}


def test_who_may_not(operated: Operated) -> None:
    for path in (LOAD, UNLOAD, UNLOAD_ALL):
        answer = operated.client.post(path, json={"model_name": "first"}, headers=operated.user)
        assert answer.status_code == 403
        assert operated.client.get(path).status_code in {404, 405}
    assert operated.status() == {"first": "loaded"}


def test_the_document_describes_both_outcomes(operated: Operated) -> None:
    document = operated.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    load = document["paths"][LOAD]["post"]
    assert set(load["responses"]) == {
        *("200", "400", "401", "403", "404", "408", "409", "413", "422", "429", "502", "503"),
    }
    refusal = load["responses"]["409"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(schemas[refusal]["required"]) == {
        *("detail", "error", "status", "model", "force_reload", "message")
    }
    assert load["requestBody"]["required"] is True
    assert document["paths"][UNLOAD_ALL]["post"]["requestBody"]["required"] is False
