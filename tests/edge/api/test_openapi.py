import json
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
from starlette.testclient import TestClient

from edge.api.openapi import build
from edge.api.operation import Access
from edge.api.table import OPERATIONS
from tests.edge.api.sse import events


def test_the_document_is_valid_and_has_every_operation_that_is_for_clients(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    openapi_spec_validator.validate(document)
    documented = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    public = [operation for operation in OPERATIONS if operation.access is not Access.INTERNAL]
    assert documented == {operation.key.replace(":path", "") for operation in public}
    assert "/internal/status" not in document["paths"]


def test_the_document_is_made_from_the_types_that_validate() -> None:
    document = build(OPERATIONS)
    chat = document["components"]["schemas"]["ChatRequest"]
    assert chat["required"] == ["model", "messages"]
    assert chat["properties"]["max_tokens"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 4096}
    operation = document["paths"]["/v1/chat/completions"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ChatRequest")
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert operation["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/health"]["get"]
    error = operation["responses"]["400"]["content"]["application/json"]["schema"]
    assert error["$ref"].endswith("/ErrorBody")


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "://" not in page.text
    assert (
        client.get("/docs/assets/swagger-ui-bundle.js").headers["content-type"].startswith("text/javascript")
    )
    assert client.get("/docs/assets/swagger-ui.css").status_code == 200
    for path in ("nope.js", "..%2f..%2fsetup.py", "swagger-editor.js"):
        assert client.get(f"/docs/assets/{path}").status_code == 404


def test_the_document_says_who_may_call_and_what_can_go_wrong() -> None:
    paths = build(OPERATIONS)["paths"]
    chat = paths["/v1/chat/completions"]["post"]
    assert chat["description"].endswith("Needs a key with the scope `inference`.")
    assert set(chat["responses"]) == {
        *("200", "400", "401", "403", "404", "408", "409", "413", "422", "429", "502", "503")
    }
    assert [parameter["name"] for parameter in chat["parameters"]] == ["Idempotency-Key"]
    assert "X-RateLimit-Reset" in chat["responses"]["400"]["headers"]
    models = paths["/v1/models"]["get"]
    assert models["description"].endswith("Needs a key with the scope `inference` or `read` or `superadmin`.")
    assert set(models["responses"]) == {"200", "401", "403", "429", "503"}
    assert models["parameters"] == []
    assert "X-RateLimit-Reset" not in models["responses"]["200"]["headers"]
    assert set(paths["/v1/models/{model}"]["get"]["responses"]) == {
        "200",
        "401",
        "403",
        "404",
        "429",
        "503",
    }


def test_every_header_of_an_answer_is_documented(client: TestClient) -> None:
    document = build(OPERATIONS)
    speech: dict[str, object] = {"model": "tts-1", "input": "x", "voice": "nova"}
    chat = {"model": "smollm2", "messages": [{"role": "user", "content": "x"}]}
    for path, body in [
        ("/v1/audio/speech", speech),
        ("/v1/audio/speech", speech | {"stream": True}),
        ("/v1/chat/completions", chat),
        ("/v1/embeddings", {"model": "bge-m3", "input": "x"}),
    ]:
        sent = {name for name in client.post(path, json=body).headers if name.startswith("x-")}
        documented = document["paths"][path]["post"]["responses"]["200"]["headers"]
        assert sent - {"x-accel-buffering"} <= {name.lower() for name in documented}
        assert set(documented) <= set(document["components"]["headers"])


def test_transcripts_are_described_in_every_form(client: TestClient) -> None:
    document = build(OPERATIONS)
    content = document["paths"]["/v1/audio/transcriptions"]["post"]["responses"]["200"]["content"]
    names = {
        media: {item["$ref"].rpartition("/")[2] for item in content[media]["schema"]["anyOf"]}
        for media in ("application/json", "text/event-stream")
    }
    assert names == {
        "application/json": {"Transcript", "VerboseTranscript"},
        "text/event-stream": {"TranscriptDelta", "TranscriptDone", "TranscriptError"},
    }
    form = {"model": "whisper-1", "response_format": "verbose_json"}
    answer = client.post("/v1/audio/transcriptions", data=form, files={"file": ("a", b"a b")}).json()
    schemas = document["components"]["schemas"]
    assert set(answer) | {"words", "logprobs"} == set(schemas["VerboseTranscript"]["properties"])
    assert set(answer["segments"][0]) == set(schemas["TranscriptSegment"]["properties"])


CHAT = {"model": "smollm2", "messages": [{"role": "user", "content": "hello"}]}
CALL = {"model": "smollm2", "messages": [{"role": "user", "content": "call f g"}]}
TORN = {"model": "smollm2", "messages": [{"role": "user", "content": "torn"}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT | {"stream_options": {"include_usage": True}}),
        ("/v1/chat/completions", TORN | {"logprobs": True, "top_logprobs": 2, "n": 2}),
        ("/v1/chat/completions", CALL | {"tools": [{"function": {"name": "f"}}]}),
        ("/v1/chat/completions", CALL | {"functions": [{"name": "f"}]}),
        ("/v1/completions", {"model": "smollm2", "prompt": ["a", "b c"]}),
        ("/v1/completions", {"model": "smollm2", "prompt": "torn", "logprobs": 2}),
    ],
)
def test_answers_are_as_the_document_describes_them(
    client: TestClient, path: str, body: dict[str, Any]
) -> None:
    document = build(OPERATIONS)
    content = document["paths"][path]["post"]["responses"]["200"]["content"]

    def check(answer: Any, media: str) -> None:
        schema = content[media]["schema"] | {"components": document["components"]}
        jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)

    check(client.post(path, json=body).json(), "application/json")
    for event in events(client.post(path, json=body | {"stream": True}).text):
        check(event, "text/event-stream")


def test_every_field_of_text_requests_is_served() -> None:
    assert "not served" not in json.dumps(build(OPERATIONS)).lower().replace("not served here", "")
