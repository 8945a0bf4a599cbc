import json
import math
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.edge.api.sse import events

URL = "/v1/audio/transcriptions"


def transcribe(
    client: TestClient,
    audio: bytes = b"hello there",
    query: dict[str, str] | None = None,
    form: dict[str, Any] | None = None,
) -> Any:
    return client.post(URL, params=query, data=form, files={"file": ("a.wav", audio, "audio/wav")})


JOB = {"model": "stt-1b-en_fr", "sync": "true"}
OPENAI = {"model": "whisper-1"}


def test_both_contracts_answer_at_once(client: TestClient) -> None:
    for response in (transcribe(client, query=JOB), transcribe(client, form=OPENAI)):
        body = response.json()
        assert body["text"] == "hello there"
        assert (body["language"], body["duration"]) == ("en", 3.25)
        assert response.headers["X-Provocapi-Model"] == "whisper-tiny.en"


def test_the_query_wins_over_the_form(client: TestClient) -> None:
    form = OPENAI | {"response_format": "json"}
    response = transcribe(client, query={"response_format": "text"}, form=form)
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == "hello there"


@pytest.mark.parametrize(
    ("wanted", "content_type", "text"),
    [
        ("text", "text/plain", "hello there"),
        (
            "srt",
            "application/x-subrip",
            "1\n00:00:00,000 --> 00:00:01,250\nhello\n\n2\n00:00:01,500 --> 00:00:02,750\nthere\n\n",
        ),
        (
            "vtt",
            "text/vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nhello\n\n00:00:01.500 --> 00:00:02.750\nthere\n\n",
        ),
    ],
)
def test_text_formats(client: TestClient, wanted: str, content_type: str, text: str) -> None:
    response = transcribe(client, query=JOB | {"response_format": wanted})
    assert response.headers["content-type"].startswith(content_type)
    assert response.text == text


def test_verbose_json_has_every_key(client: TestClient) -> None:
    body = transcribe(client, query=JOB | {"response_format": "verbose_json"}).json()
    assert body["task"] == "transcribe"
    assert body["text"] == "hello there"
    assert set(body["segments"][0]) == {
        *("id", "seek", "start", "end", "text", "tokens", "temperature"),
        *("avg_logprob", "compression_ratio", "no_speech_prob"),
    }


def test_words_come_with_their_times_where_they_are_asked_for(client: TestClient) -> None:
    form = OPENAI | {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    for query, body in (
        (None, form),
        (JOB | {"response_format": "verbose_json", "timestamp_granularities": "segment,word"}, None),
    ):
        answer = transcribe(client, query=query, form=body).json()
        assert answer["words"] == [
            {"word": "hello", "start": 0.0, "end": 1.25},
            {"word": "there", "start": 1.5, "end": 2.75},
        ]
        assert "words" not in answer["segments"][0]
    only_segments = form | {"timestamp_granularities[]": "segment"}
    assert "words" not in transcribe(client, form=only_segments).json()


def test_log_probabilities_come_where_they_are_asked_for(client: TestClient) -> None:
    form = OPENAI | {"include[]": "logprobs"}
    told = transcribe(client, form=form).json()["logprobs"]
    assert [entry["token"] for entry in told] == [" hello", " there"]
    assert bytes(told[0]["bytes"]) == b" hello"
    assert told[0]["logprob"] == pytest.approx(math.log(0.5))
    *deltas, done = events(transcribe(client, form=form | {"stream": "true"}).text)
    assert [entry for delta in deltas for entry in delta["logprobs"]] == done["logprobs"] == told


def test_the_recordings_length_is_told_for_the_bill(client: TestClient) -> None:
    answer = transcribe(client, query=JOB)
    assert answer.json()["usage"] == {"type": "duration", "seconds": 3.25}
    for wanted in ("json", "text", "srt"):
        answer = transcribe(client, query=JOB | {"response_format": wanted})
        assert answer.headers["X-Pg-Audio-Seconds"] == "3.250"
    *_, done = events(transcribe(client, form=OPENAI | {"stream": "true"}).text)
    assert done["usage"] == {"type": "duration", "seconds": 3.25}


def test_punctuation_can_be_left_out(client: TestClient) -> None:
    query = JOB | {"punctuation": "false"}
    assert transcribe(client, b"Well, - yes!", query=query).json()["text"] == "Well yes"
    *deltas, done = events(transcribe(client, b"Well, - yes!", query | {"stream": "true", "sync": "0"}).text)
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == "Well yes"


def test_the_engine_is_told_all_that_was_asked(client: TestClient) -> None:
    query = {"model": "whisper-1", "sync": "1", "language": " EN ", "prompt": "Zoë", "temperature": "0.5"}
    told = json.loads(transcribe(client, b"order", query).json()["text"])
    caller = told.pop("caller")
    assert caller.startswith("key_")
    assert told == {
        "audio": None,
        "language": "en",
        "prompt": "Zoë",
        "temperature": 0.5,
        "translate": False,
        "words": False,
    }


def test_fields_that_openai_clients_may_send_do_no_harm(client: TestClient) -> None:
    form = OPENAI | {
        "chunking_strategy": "auto",
        "languages[]": "en",
        "language": "",
        "keywords[]": ["a", "b"],
    }
    assert transcribe(client, form=form).status_code == 200


@pytest.mark.parametrize(
    ("query", "form"),
    [({"model": "whisper-1", "stream": "true"}, None), (None, OPENAI | {"stream": "true"})],
)
def test_streams_tell_the_text_as_it_comes(client: TestClient, query: Any, form: Any) -> None:
    response = transcribe(client, query=query, form=form)
    assert response.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events(response.text)
    assert [delta["type"] for delta in deltas] == ["transcript.text.delta"] * 2
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == "hello there"
    assert (done["type"], done["language"], done["duration"]) == ("transcript.text.done", "en", 3.25)
    assert done["routing"] == {"path": "local", "provider": "yto-01"}
    assert done["pg_metadata"]["region"] == "yto-01"


def test_a_failure_in_mid_stream_is_a_string(client: TestClient) -> None:
    response = transcribe(client, b"half a break", query={"model": "whisper-1", "stream": "true"})
    last = events(response.text)[-1]
    assert last["type"] == "error"
    assert isinstance(last["error"], str)
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("query", "form", "param"),
    [
        (None, None, "model"),
        (JOB | {"stream": "true"}, None, "stream"),
        (JOB | {"temperature": "2"}, None, "temperature"),
        (JOB | {"response_format": "xml"}, None, "response_format"),
        (JOB | {"sync": "maybe"}, None, "sync"),
        (JOB | {"model": "kokoro-82m"}, None, "model"),
        (JOB | {"timestamp_granularities": "word"}, None, "timestamp_granularities"),
        (JOB | {"timestamp_granularities[]": "line"}, None, "timestamp_granularities.0"),
        (JOB | {"response_format": "srt", "include[]": "logprobs"}, None, "include"),
        (JOB | {"include[]": "speakers"}, None, "include.0"),
        (JOB | {"punctuation": "some"}, None, "punctuation"),
        (JOB | {"prompt": "x" * 10_001}, None, "prompt"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, query: Any, form: Any, param: str) -> None:
    response = transcribe(client, query=query, form=form)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_what_the_engine_cannot_hear_is_the_callers_to_change(client: TestClient) -> None:
    response = transcribe(client, b"refuse file", query=JOB)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "file")


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"file": "x"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"files": {"file": ("a.wav", b"", "audio/wav")}},
        {"data": {"file": "text"}, "files": {"other": ("a", b"x")}},
        {"files": [("file", ("a", b"x")), ("file", ("b", b"x"))]},
        {"content": b"--x\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    ],
)
def test_a_form_without_a_recording_is_refused(client: TestClient, sent: dict[str, Any]) -> None:
    response = client.post(URL, params=JOB, **sent)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("file", "invalid_value")
    assert error["message"]


def test_an_upload_above_the_limit_is_refused(client: TestClient) -> None:
    response = transcribe(client, b"x" * (2**20 + 1), query=JOB)
    assert response.status_code == 413
    assert "1048576" in response.json()["detail"]
