"""Operators load and unload real models; what a model took is the machine's again when it is unloaded."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from polargrid import PolarGrid

from tests.e2e.errors import assert_error
from tests.e2e.events import ENDLESS, events
from tests.e2e.grids import CHAT_MODEL
from tests.e2e.services import TIMEOUT_SECONDS, LoneEdge, create_key, workers
from tests.models import pulled

LOAD, UNLOAD, UNLOAD_ALL = "/v1/models/load", "/v1/models/unload", "/v1/models/unload-all"
CHAT = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}
MIB = 1024 * 1024


@dataclass(frozen=True)
class Operated:
    edge: LoneEdge
    user: httpx.Client
    operator: httpx.Client
    operator_key: str

    def chat(self) -> httpx.Response:
        return self.user.post("/v1/chat/completions", json=CHAT)

    def states(self) -> dict[str, str]:
        states: dict[str, str] = self.user.get("/v1/models/status").json()["loading_status"]
        return states

    def workers(self) -> list[psutil.Process]:
        return workers(self.edge.service.pid)

    def memory(self) -> int:
        """Return the bytes that only this edge and its workers have."""
        processes = [psutil.Process(self.edge.service.pid), *self.workers()]
        return sum(process.memory_full_info().uss for process in processes)


@pytest.fixture
def operated(
    lone_edge: Callable[..., AbstractContextManager[LoneEdge]], tmp_path: Path
) -> Iterator[Operated]:
    for name in ("all-minilm-l6-v2", "hibari"):
        pulled(name)
    with lone_edge(edge_models=f"{CHAT_MODEL},all-minilm-l6-v2") as edge, edge.client() as user:
        key = create_key(tmp_path, "superadmin")["key"]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=edge.url, headers=headers, timeout=TIMEOUT_SECONDS) as operator:
            yield Operated(edge, user, operator, key)


def test_a_round_of_a_model(operated: Operated) -> None:
    assert operated.chat().status_code == 200
    chat = max(operated.workers(), key=lambda worker: worker.memory_full_info().uss)
    full = operated.memory()
    taken = chat.memory_full_info().uss

    answer = operated.operator.post(UNLOAD, json={"model_name": "gpt-4o"})
    assert answer.status_code == 200
    assert answer.json()["model"] == CHAT_MODEL
    assert chat not in operated.workers()
    assert not chat.is_running()
    assert len(operated.workers()) == 1
    assert operated.memory() < full - 0.8 * taken
    assert operated.states() == {CHAT_MODEL: "unloaded", "all-minilm-l6-v2": "loaded"}
    assert assert_error(operated.chat(), 404, f"Model not loaded: {CHAT_MODEL}")["code"] == "model_not_loaded"
    assert operated.user.get("/health").json()["status"] == "healthy"

    answer = operated.operator.post(LOAD, json={"model_name": CHAT_MODEL})
    assert answer.json()["status"] == "success"
    assert operated.chat().status_code == 200
    assert operated.memory() < full + 100 * MIB
    assert len(operated.workers()) == 2


def test_a_model_that_answers_is_not_unloaded(operated: Operated) -> None:
    with operated.user.stream("POST", "/v1/completions", json=ENDLESS | {"stream": True}) as answer:
        received = events(answer)
        next(received)
        refused = operated.operator.post(UNLOAD, json={"model_name": CHAT_MODEL})
        assert assert_error(refused, 409, "in flight")["code"] == "model_busy"
        assert refused.json()["status"] == "failed"
        assert "error" not in next(received)

        partial = operated.operator.post(UNLOAD_ALL).json()
        assert (partial["status"], partial["unloaded_models"]) == ("partial", ["all-minilm-l6-v2"])
        assert [error.split()[0] for error in partial["errors"]] == [CHAT_MODEL]

        forced = operated.operator.post(UNLOAD, json={"model_name": CHAT_MODEL, "force": True})
        assert forced.json()["status"] == "success"
        *_, failure = received
    assert failure["error"]["message"] == "The model was unloaded"
    assert operated.workers() == []


def test_callers_share_one_load(operated: Operated) -> None:
    operated.operator.post(UNLOAD_ALL).raise_for_status()
    assert operated.workers() == []
    answers: list[dict[str, Any]] = []
    seen: set[str] = set()

    def load() -> None:
        answers.append(operated.operator.post(LOAD, json={"model_name": CHAT_MODEL}).json())

    callers = [threading.Thread(target=load) for _ in range(4)]
    for caller in callers:
        caller.start()
    while any(caller.is_alive() for caller in callers):
        state = operated.states()[CHAT_MODEL]
        seen.add(state)
        if state == "loaded":
            assert len(operated.workers()) == 1
        time.sleep(0.01)
    assert [answer["status"] for answer in answers] == ["success"] * 4
    assert seen <= {"unloaded", "loading", "loaded"}
    assert "loading" in seen
    assert len(operated.workers()) == 1
    assert operated.chat().status_code == 200


@pytest.mark.anyio
async def test_the_published_client_unloads_all(operated: Operated) -> None:
    client = PolarGrid(api_key=operated.operator_key, base_url=operated.edge.url, timeout=30, max_retries=0)
    done = await client.unload_all_models()
    assert (done.status, done.total_unloaded, done.errors) == ("success", 2, [])
    assert done.unloaded_models == [CHAT_MODEL, "all-minilm-l6-v2"]
    assert operated.workers() == []
    assert (await client.get_model_status()).loaded == []
    assert (await client.load_model({"model_name": "hibari"})).status == "success"
    assert (await client.get_model_status()).loading_status == {
        CHAT_MODEL: "unloaded",
        "all-minilm-l6-v2": "unloaded",
        "hibari": "loaded",
    }


def test_an_edge_that_stops_takes_a_load_along(operated: Operated) -> None:
    operated.operator.post(UNLOAD, json={"model_name": CHAT_MODEL}).raise_for_status()
    caller = threading.Thread(
        target=operated.operator.post, args=(LOAD,), kwargs={"json": {"model_name": CHAT_MODEL}}
    )
    caller.start()
    time.sleep(0.1)
    operated.edge.service.stop()
    caller.join(TIMEOUT_SECONDS)
    assert not caller.is_alive()


def test_what_does_not_fit_is_refused(
    lone_edge: Callable[..., AbstractContextManager[LoneEdge]], tmp_path: Path
) -> None:
    pulled("hibari")
    with lone_edge(edge_models="", edge_memory_spare_bytes=2**50) as edge:
        key = create_key(tmp_path, "superadmin")["key"]
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{edge.url}{LOAD}", json={"model_name": "hibari"}, headers=headers, timeout=60)
        assert assert_error(answer, 503, "hibari needs about .* are free")["code"] == "insufficient_memory"
        assert workers(edge.service.pid) == []


def test_a_model_that_is_nowhere_yet_is_fetched(
    lone_edge: Callable[..., AbstractContextManager[LoneEdge]], tmp_path: Path
) -> None:
    with lone_edge(edge_models="", cache=tmp_path / "cache", edge_load_wait_seconds=0.5) as edge:
        key = create_key(tmp_path, "superadmin", "inference")["key"]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=edge.url, headers=headers, timeout=TIMEOUT_SECONDS) as client:
            answer = client.post(LOAD, json={"model_name": "hibari"}).json()
            assert answer["status"] == "loading"
            assert "hibari is loading (" in answer["message"]
            assert client.get("/v1/models/status").json()["loading_status"] == {"hibari": "loading"}
            deadline = time.monotonic() + 100
            while answer["status"] == "loading":
                assert time.monotonic() < deadline, answer
                answer = client.post(LOAD, json={"model_name": "hibari"}).json()
            assert answer["status"] == "success", answer
            speech = {"model": "hibari", "input": "Here I am.", "voice": "alloy"}
            assert len(client.post("/v1/audio/speech", json=speech).content) > 10_000
    log = edge.service.log.read_text()
    assert log.count("model loaded") == 1
