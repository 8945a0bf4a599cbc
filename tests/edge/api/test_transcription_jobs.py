import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from edge.accounts import Billing, Scope
from edge.accounts.idempotency import Idempotency, Identity
from edge.api.openapi import build
from edge.api.table import OPERATIONS
from edge.jobs import TranscriptionJobs
from tests.edge.api.accounts import customer
from tests.edge.api.conftest import Edge, make_tenant, open_edge

URL = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge of this module's own: jobs run once in a process, and other tests run them too."""
    with open_edge(tmp_path_factory.mktemp("home")) as edge:
        yield edge


@pytest.fixture
def client(edge: Edge) -> TestClient:
    edge.client.headers["Authorization"] = f"Bearer {edge.key(Scope.INFERENCE)}"
    return edge.client


def submit(client: TestClient, audio: bytes = b"hello there", **query: str) -> Any:
    files = {"file": ("talk.mp3", audio, "audio/mpeg")}
    return client.post(URL, params={"model": "whisper-1"} | query, files=files)


def poll(client: TestClient, job_id: str) -> Any:
    return client.get(URL, params={"job_id": job_id})


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while (answer := poll(client, job_id)).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_job_is_accepted_and_then_has_its_transcript(client: TestClient) -> None:
    answer = submit(client)
    assert answer.status_code == 202
    accepted = answer.json()
    assert accepted["status"] == "accepted"
    assert accepted["job_id"].startswith("job_transcription_")
    assert accepted["poll_url"] == accepted["result_url"] == answer.headers["location"]
    assert accepted["metadata"] == {
        "filename": "talk.mp3",
        "file_size_mb": 0.0,
        "audio_format": "mp3",
        "estimated_duration_seconds": 0.001,
        "model": "whisper-tiny.en",
    }
    done = ended(client, accepted["job_id"])
    assert (done["status"], done["text"], done["language"], done["duration"]) == (
        *("completed", "hello there"),
        *("en", 3.25),
    )
    assert (done["progress"], done["has_result"], done["error"]) == (1.0, True, None)
    assert done["created_at"] <= done["started_at"] <= done["completed_at"]
    assert done["usage"] == {"type": "duration", "seconds": 3.25}
    assert client.get(accepted["result_url"]).json() == done


def test_a_job_whose_acceptance_was_not_kept_is_the_same_when_it_is_asked_for_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(idempotency: Idempotency, identity: Identity, *_: object, **__: object) -> None:
        await idempotency.let_go(identity)

    def ask(key: str) -> str:
        files = {"file": ("talk.mp3", b"hello there", "audio/mpeg")}
        headers = {"Idempotency-Key": key}
        answer = client.post(URL, params={"model": "whisper-1"}, files=files, headers=headers)
        assert answer.status_code == 202
        return str(answer.json()["job_id"])

    with monkeypatch.context() as patch:
        patch.setattr(Idempotency, "keep", die)
        first = ask("job-1")
    ended(client, first)
    assert ask("job-1") == ask("job-1") == first != ask("job-2")


def test_no_name_of_a_file_keeps_jobs_from_being_shown(client: TestClient) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a+2AA-.wav"\r\n\r\nhello\r\n--x--\r\n'
    )
    answer = client.post(
        URL,
        params={"model": "whisper-1"},
        content=body,
        headers={"Content-Type": "multipart/form-data; boundary=x; charset=utf-7"},
    )

    assert answer.status_code == 202, answer.text
    assert ended(client, answer.json()["job_id"])["metadata"]["filename"] == "a?.wav"
    assert client.get(URL).status_code == 200


def test_answers_are_as_the_document_describes_them(client: TestClient) -> None:
    document = build(OPERATIONS)
    operations = document["paths"][URL]

    def check(answer: Any, method: str) -> None:
        content = operations[method]["responses"][str(answer.status_code)]["content"]["application/json"]
        schema = content["schema"] | {"components": document["components"]}
        jsonschema.validate(answer.json(), schema, jsonschema.Draft202012Validator)

    accepted = submit(client, response_format="verbose_json", timestamp_granularities="word")
    check(accepted, "post")
    job_id = accepted.json()["job_id"]
    done = ended(client, job_id)
    assert done["words"]
    assert done["segments"]
    check(poll(client, job_id), "get")
    check(client.get(URL), "get")
    check(client.delete(URL, params={"job_id": job_id}), "delete")


@pytest.mark.parametrize(
    ("wanted", "opening"), [("srt", "1\n00:00:00,000"), ("vtt", "WEBVTT\n"), ("text", "hello")]
)
def test_the_text_is_in_the_format_that_was_asked_for(client: TestClient, wanted: str, opening: str) -> None:
    done = ended(client, submit(client, response_format=wanted, punctuation="false").json()["job_id"])
    assert done["text"].startswith(opening)


@pytest.mark.parametrize(
    ("audio", "code"),
    [(b"refuse file", "invalid_value"), (b"fail", "worker_failed"), (b"a break", "worker_failed")],
)
def test_a_job_that_fails_says_why(client: TestClient, audio: bytes, code: str) -> None:
    done = ended(client, submit(client, audio).json()["job_id"])
    assert (done["status"], done["error_code"], done["has_result"]) == ("failed", code, False)
    assert done["error"]
    assert "secret" not in done["error"]
    assert "text" not in done


def test_a_job_that_runs_tells_how_far_it_is_and_can_be_cancelled(client: TestClient) -> None:
    job_id = submit(client, b"slow 30").json()["job_id"]
    deadline = time.monotonic() + 10
    while (running := poll(client, job_id)).json()["status"] != "processing":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert running.status_code == 202
    assert running.json()["started_at"]
    assert 0 <= running.json()["progress"] < 1
    assert running.headers["Retry-After"] == "1"
    cancelled = client.delete(URL, params={"job_id": job_id})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert poll(client, job_id).json()["status"] == "cancelled"
    assert client.delete(URL, params={"job_id": job_id}).json()["status"] == "cancelled"


def test_a_job_that_has_ended_is_not_cancelled_any_more(client: TestClient) -> None:
    done = ended(client, submit(client).json()["job_id"])
    assert client.delete(URL, params={"job_id": done["job_id"]}).json() == done


def test_jobs_are_their_tenants_alone(client: TestClient, edge: Edge) -> None:
    job_id = submit(client).json()["job_id"]
    done = ended(client, job_id)
    make_tenant(edge.home, "others")
    other = {"Authorization": f"Bearer {edge.key(Scope.INFERENCE, tenant_id='others')}"}
    for answer in (
        client.get(URL, params={"job_id": job_id}, headers=other),
        client.delete(URL, params={"job_id": job_id}, headers=other),
        poll(client, "job_transcription_000000000000000000000000"),
        poll(client, "nonsense"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
    assert client.get(URL, headers=other).json() == {
        "object": "list",
        "jobs": [],
        "count": 0,
        "next_cursor": None,
    }
    assert poll(client, job_id).json() == done
    colleague = {"Authorization": f"Bearer {edge.key(Scope.INFERENCE)}"}
    assert client.get(URL, params={"job_id": job_id}, headers=colleague).json() == done


def test_a_job_is_used_by_its_tenant_and_key(client: TestClient, edge: Edge) -> None:
    make_tenant(edge.home, "payers")
    headers = {"Authorization": f"Bearer {edge.key(Scope.INFERENCE, tenant_id='payers')}"}
    client.headers.update(headers)
    ended(client, submit(client).json()["job_id"])
    usage = client.get("/v1/usage", headers=headers).json()
    assert [(row["model"], row["requests"], row["audio_seconds"]) for row in usage["data"]] == [
        ("whisper-tiny.en", 1, 3.25)
    ]


def test_a_job_is_refused_without_credits_and_paid_for_when_it_is_done(
    client: TestClient, edge: Edge
) -> None:
    caller = customer(edge, Billing.PREPAID, 1)
    client.headers.update(caller.headers)
    refused = submit(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert client.get(URL).json()["jobs"] == []
    caller.grant(1000)
    time.sleep(0.3)
    assert ended(client, submit(client).json()["job_id"])["status"] == "completed"
    (row,) = caller.get("/v1/usage", group_by="service").json()["data"]
    assert (row["service"], row["requests"], row["audio_seconds"]) == ("audio/transcriptions", 1, 3.25)
    assert row["cost_micro"] > 0


def test_a_list_has_pages(client: TestClient) -> None:
    ids = [submit(client).json()["job_id"] for _ in range(3)]
    for job_id in ids:
        ended(client, job_id)
    first = client.get(URL, params={"limit": 2}).json()
    assert first["count"] == len(first["jobs"]) == 2
    assert "text" not in first["jobs"][0]
    rest = client.get(URL, params={"limit": 100, "cursor": first["next_cursor"]}).json()
    listed = [job["job_id"] for job in first["jobs"] + rest["jobs"]]
    assert len(listed) == len(set(listed))
    assert set(ids) <= set(listed)


@pytest.mark.parametrize(
    ("method", "query", "param"),
    [
        ("GET", {"limit": "0"}, "limit"),
        ("GET", {"limit": "many"}, "limit"),
        ("GET", {"cursor": "-1"}, "cursor"),
        ("GET", {"job_id": "x" * 1000}, "job_id"),
        ("DELETE", {}, "job_id"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, method: str, query: dict[str, str], param: str) -> None:
    answer = client.request(method, URL, params=query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_what_cannot_be_transcribed_is_refused_before_there_is_a_job(client: TestClient) -> None:
    assert submit(client, model="whisper-9").status_code == 404
    assert submit(client, model="kokoro-82m").status_code == 400
    assert submit(client, b"").status_code == 400
    assert submit(client, temperature="3").status_code == 400


def test_an_edge_with_all_the_jobs_that_it_can_hold_says_when_to_try_again(
    client: TestClient, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = edge.client.app
    while not isinstance(app, Starlette):
        app = app.app
    jobs: TranscriptionJobs = app.state.jobs
    monkeypatch.setattr(jobs, "_settings", jobs._settings.model_copy(update={"edge_job_audio_bytes": 5}))
    answer = submit(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_capacity")
    assert int(answer.headers["Retry-After"]) > 0
