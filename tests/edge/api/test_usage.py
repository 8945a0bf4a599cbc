from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.accounts import Billing, Scope
from edge.api.metered import service
from tests.edge.api.accounts import Customer, customer
from tests.edge.api.conftest import Edge

TODAY = datetime.now(UTC).date()
WAV = {"file": ("a.wav", b"one two three", "audio/wav")}


@pytest.fixture
def caller(edge: Edge) -> Customer:
    return customer(edge, Billing.UNMETERED)


def report(caller: Customer, **query: Any) -> Any:
    answer = caller.get("/v1/usage", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_who_used_nothing_gets_an_empty_report(caller: Customer) -> None:
    body = report(caller)
    assert body["period"] == {"start_date": str(TODAY - timedelta(days=29)), "end_date": str(TODAY)}
    assert body["usage"]["total_requests"] == 0
    assert body["data"] == body["by_service"] == []
    assert body["next_cursor"] is None


def test_every_kind_of_call_is_counted_at_once(caller: Customer) -> None:
    assert caller.chat().status_code == 200
    assert caller.chat(stream=True).status_code == 200
    assert caller.post("/v1/completions", model="smollm2", prompt=["a b", "c"], n=2).status_code == 200
    assert caller.post("/v1/completions/stream", model="smollm2", prompt="a b").status_code == 200
    assert caller.post("/v1/embeddings", model="all-minilm-l6-v2", input=["a", "b"]).status_code == 200
    assert caller.speak("hello").status_code == 200
    assert caller.speak("hello", stream=True).status_code == 200
    transcribe: Any = {
        "params": {"model": "whisper-1", "sync": "true"},
        "files": WAV,
        "headers": caller.headers,
    }
    assert caller.edge.client.post("/v1/audio/transcriptions", **transcribe).status_code == 200

    body = report(caller)

    assert {row["service"]: row["requests"] for row in body["by_service"]} == {
        "chat/completions": 2,
        "completions": 2,
        "embeddings": 1,
        "audio/speech": 2,
        "audio/transcriptions": 1,
    }
    models = {row["model"]: row for row in body["data"]}
    text = models["smollm2-135m-instruct"]
    assert text["date"] == str(TODAY)
    assert text["requests"] == 4
    assert text["prompt_tokens"] == 3 + 3 + 2 * 3 + 3
    assert text["completion_tokens"] == 3 + 3 + 2 * (2 + 1) + 2
    assert models["all-minilm-l6-v2"]["prompt_tokens"] == 10
    assert models["kokoro-82m"]["characters"] == 10
    assert models["whisper-tiny.en"]["audio_seconds"] == 3.25
    for row in models.values():
        latency = row["latency_ms"]
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] < 60_000
        assert row["first_byte_ms"]["p50"] <= latency["p99"]
        assert row["cost_micro"] > 0
    assert body["usage"]["total_requests"] == 8
    assert body["usage"]["total_tokens"] == sum(row["total_tokens"] for row in models.values())
    assert body["usage"]["total_cost"] == pytest.approx(sum(row["cost"] for row in models.values()))
    assert [row["region"] for row in body["usage"]["by_region"]] == ["yto-01"]
    assert isinstance(body["usage"]["by_region"][0]["avg_latency_ms"], int)


def test_calls_that_fail_are_counted_and_cost_nothing(caller: Customer) -> None:
    assert caller.chat("refuse messages").status_code == 400
    assert caller.chat("fail").status_code == 502
    assert caller.chat("one break two", stream=True).status_code == 200
    (row,) = report(caller)["data"]
    assert (row["requests"], row["errors"], row["cost_micro"]) == (3, 3, 0)


def test_what_is_refused_before_it_reaches_a_model_is_no_usage(caller: Customer) -> None:
    assert caller.post("/v1/chat/completions", model="nobody", messages=[]).status_code in {400, 404}
    assert caller.post("/v1/chat/completions", model="smollm2").status_code == 400
    assert report(caller)["usage"]["total_requests"] == 0


def test_a_key_sees_its_own_usage_and_one_with_the_scope_that_of_its_tenant(edge: Edge) -> None:
    first = customer(edge, Billing.UNMETERED)
    second = Customer(edge, first.tenant_id, edge.key(Scope.READ, Scope.KEYS, tenant_id=first.tenant_id))
    first.chat()
    assert report(second)["usage"]["total_requests"] == 0
    assert report(second, scope="tenant")["usage"]["total_requests"] == 1
    refused = first.get("/v1/usage", scope="tenant")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "missing_scope"


def test_rows_are_divided_as_asked_and_come_in_pages(caller: Customer) -> None:
    caller.chat()
    caller.post("/v1/completions", model="smollm2", prompt="a")
    caller.speak()
    query = {"group_by": "service, region", "limit": 2}
    first = report(caller, **query)
    rest = report(caller, cursor=first["next_cursor"], **query)
    rows = [*first["data"], *rest["data"]]
    assert [row["service"] for row in rows] == ["audio/speech", "chat/completions", "completions"]
    assert {row["region"] for row in rows} == {"yto-01"}
    assert all("model" not in row for row in rows)
    assert rest["next_cursor"] is None
    assert first["usage"] == rest["usage"]


def test_days_outside_of_the_period_do_not_count(caller: Customer) -> None:
    caller.chat()
    yesterday = str(TODAY - timedelta(days=1))
    assert report(caller, end_date=yesterday)["usage"]["total_requests"] == 0
    assert report(caller, start_date=yesterday)["usage"]["total_requests"] == 1
    assert report(caller, start_date=str(TODAY), end_date=str(TODAY))["usage"]["total_requests"] == 1


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"start_date": "yesterday"}, "start_date"),
        ({"start_date": "2026-02-30"}, "start_date"),
        ({"start_date": "2026-03-02", "end_date": "2026-03-01"}, "after end_date"),
        ({"start_date": "2020-01-01", "end_date": "2026-03-01"}, "366 days"),
        ({"group_by": "day,colour"}, "group_by"),
        ({"group_by": "day,day"}, "group_by"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "WzFd"}, "cursor"),
        ({"scope": "all"}, "scope"),
    ],
)
def test_a_bad_query_is_told(caller: Customer, query: dict[str, str], told: str) -> None:
    answer = caller.get("/v1/usage", **query)
    assert answer.status_code == 400
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "chat/completions"),
        ("/v1/completions/stream", "completions"),
        ("//v1/audio/speech/", "audio/speech"),
    ],
)
def test_services_are_named_by_their_path(path: str, name: str) -> None:
    assert service(path) == name
