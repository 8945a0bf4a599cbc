import time

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"not json", "not valid JSON"),
        (b'{"model": ', "not valid JSON"),
        (b'{"model": "\xff"}', "not valid JSON"),
        (b'{"model": "\\ud800"}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[" * 200_001, "brackets"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{}", "model: Field required"),
        (b'{"model": "m", "messages": [], "temperature": NaN}', "temperature"),
        (b'{"model": "m", "messages": [], "max_tokens": 1e400}', "max_tokens"),
        (b'{"model": 5, "messages": 5, "stop": 5, "seed": "x", "n": 0}', "and 2 more"),
    ],
)
def test_what_is_no_request_is_explained(client: TestClient, body: bytes, says: str) -> None:
    response = client.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert says in response.json()["detail"]
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_an_integer_of_any_size_is_a_seed(client: TestClient) -> None:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "x"}], "seed": -(10**30)}
    assert client.post("/v1/chat/completions", json=body).status_code == 200


BODY_BYTES = 4 * 2**20
MAX_SECONDS = 1.0


def filled(start: str, item: str, end: str) -> bytes:
    """Return a body of the largest size, with as many of *item* as fit between *start* and *end*."""
    count = (BODY_BYTES - len(start) - len(end)) // (len(item) + 1)
    return f"{start}{','.join([item] * count)}{end}".encode()


def many_keys(start: str, end: str) -> bytes:
    """Return a body of the largest size that is filled with different keys."""
    keys = ",".join(f'"{number}":{number}' for number in range(BODY_BYTES // 18))
    return f"{start}{keys}{end}".encode()


CHAT = '{"model": "smollm2", "messages": [{"role": "user", "content": "x"}], '
LISTS = [
    ("/v1/chat/completions", '{"model": "smollm2", "messages": [', "]}", "messages"),
    (
        "/v1/chat/completions",
        '{"model": "smollm2", "messages": [{"role": "user", "content": [',
        "]}]}",
        "messages.0.content",
    ),
    (
        "/v1/chat/completions",
        '{"model": "smollm2", "messages": [{"role": "assistant", "tool_calls": [',
        "]}]}",
        "messages.0.tool_calls",
    ),
    ("/v1/chat/completions", CHAT + '"stop": [', "]}", "stop"),
    ("/v1/chat/completions", CHAT + '"tools": [', "]}", "tools"),
    ("/v1/chat/completions", CHAT + '"functions": [', "]}", "functions"),
    ("/v1/chat/completions", CHAT + '"modalities": [', "]}", "modalities"),
    (
        "/v1/chat/completions",
        CHAT + '"tools": [{"function": {"name": "f", "parameters": {"enum": [',
        "]}}}]}",
        "tools.0.function.parameters",
    ),
    (
        "/v1/chat/completions",
        CHAT + '"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": [',
        "]}}}}",
        "response_format.json_schema.schema",
    ),
    ("/v1/completions", '{"model": "smollm2", "prompt": [', "]}", "prompt"),
    ("/v1/completions", '{"model": "smollm2", "prompt": [[', "]]}", "prompt"),
    ("/v1/embeddings", '{"model": "all-minilm-l6-v2", "input": [', "]}", "input"),
    ("/v1/embeddings", '{"model": "all-minilm-l6-v2", "input": [[', "]]}", "input"),
]


@pytest.mark.parametrize(
    "item",
    [
        "1",
        '""',
        '"a"',
        "{}",
        "[]",
        "[1]",
        "null",
        '{"role":"user","content":""}',
        '{"type":"text","text":""}',
    ],
)
@pytest.mark.parametrize(("path", "start", "end", "param"), LISTS)
def test_the_worst_of_bodies_is_refused_in_short(
    client: TestClient, path: str, start: str, end: str, param: str, item: str
) -> None:
    body = filled(start, item, end)
    started = time.process_time()
    response = client.post(path, content=body)
    assert time.process_time() - started < MAX_SECONDS
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"] or "").startswith(param) or "brackets" in error["message"]
    assert len(response.content) < 2000


@pytest.mark.parametrize(
    "body",
    [
        filled(CHAT + '"logit_bias": {', '"1":""', "}}"),
        filled(CHAT + '"response_format": {"type": "json_schema", "json_schema": {"a": [', "1", "]}}}"),
        filled(CHAT + '"logit_bias": {"', "m", '": 1}}'),
        filled(CHAT + '"logit_bias": {"1": "', "m", '"}}'),
        filled(CHAT + '"tools": [{"function": {"name": "', "m", '"}}]}'),
        filled(CHAT + '"tool_choice": "', "m", '"}'),
        filled(CHAT + '"tool_choice": {"function": {"name": "', "m", '"}}}'),
        filled(CHAT + '"functions": [{"name": "f"}], "function_call": {"name": "', "m", '"}}'),
        many_keys(CHAT + '"logit_bias": {', "}}"),
        many_keys(CHAT + '"response_format": {"type": "json_schema", "json_schema": {"schema": {', "}}}}"),
        many_keys(CHAT + '"tools": [{"function": {"name": "f", "parameters": {', "}}}]}"),
        filled('{"model": "smollm2", "prompt": [1, ', "1", ', ""]}'),
        filled('{"model": "', "m", '", "messages": [{"role": "user", "content": "x"}]}'),
        filled('{"model": "smollm2", "messages": [{"role": "user", "content": [{"type": "', "m", '"}]}]}'),
        filled('{"model": "smollm2", "messages": [{"role": "', "m", '", "content": ""}]}'),
    ],
)
def test_long_values_are_not_repeated(client: TestClient, body: bytes) -> None:
    started = time.process_time()
    response = client.post("/v1/chat/completions", content=body)
    assert time.process_time() - started < MAX_SECONDS
    assert response.status_code == 400
    assert len(response.content) < 2000
