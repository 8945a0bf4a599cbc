import re

import pytest

from edge.accounts import Limits, Scope
from tests.edge.api.conftest import INTERNAL_SECRET, Edge

HEADERS = {"Authorization": f"Bearer {INTERNAL_SECRET.get_secret_value()}"}


def numbers(edge: Edge) -> dict[str, float]:
    response = edge.client.get("/metrics", headers=HEADERS)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = re.findall(r"^(nearedge_edge_[^ ]+) (\S+)$", response.text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


@pytest.mark.parametrize("authorization", [None, "Bearer ", "Bearer wrong"])
def test_without_the_secret_it_is_closed(edge: Edge, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert edge.client.get("/metrics", headers=headers).status_code == 401


def test_no_api_key_opens_it(edge: Edge) -> None:
    headers = {"Authorization": f"Bearer {edge.key(*Scope)}"}
    assert edge.client.get("/metrics", headers=headers).status_code == 401


def test_answers_are_counted_by_operation_and_status(edge: Edge) -> None:
    name = 'nearedge_edge_answers_total{method="GET",path="/v1/models/{model:path}",status="401"}'
    before = numbers(edge).get(name, 0)
    edge.client.get("/v1/models/a/b")
    assert numbers(edge)[name] == before + 1


def test_it_tells_how_busy_each_model_is(edge: Edge) -> None:
    told = numbers(edge)
    for model in ("smollm2-135m-instruct", "kokoro-82m"):
        assert told[f'nearedge_edge_model_requests{{model="{model}"}}'] == 0
        assert told[f'nearedge_edge_model_requests_limit{{model="{model}"}}'] == 64
    assert told["nearedge_edge_requests_in_flight"] == 1


def test_it_tells_of_refusals_and_repeats(edge: Edge) -> None:
    key = edge.key(Scope.INFERENCE, limits=Limits(requests_per_minute=1))
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "metrics"}
    before = numbers(edge)
    body = {"model": "all-minilm-l6-v2", "input": "a"}
    answers = [edge.client.post("/v1/embeddings", json=body, headers=headers) for _ in range(2)]
    refused = edge.client.post("/v1/embeddings", json=body, headers=headers | {"Idempotency-Key": "other"})
    assert [answer.status_code for answer in (*answers, refused)] == [200, 200, 429]
    after = numbers(edge)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more("nearedge_edge_idempotent_executions_total") == 1
    assert more("nearedge_edge_idempotent_replays_total") == 1
    assert more('nearedge_edge_limit_refusals_total{limit="requests",subject="key"}') == 1
    assert after["nearedge_edge_limits_degraded"] == 0
    assert after["nearedge_edge_limits_counted_alone_total"] == 0
