"""Whatever is sent, each mistake has its status and words that help, and no worker is harmed by it."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e.bodies import CHAT, COMPLETIONS, EMBEDDINGS, GOOD, SPEECH
from tests.e2e.errors import assert_error
from tests.e2e.services import LoneEdge

pytestmark = pytest.mark.usefixtures("unharmed")


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def with_raw(path: str, name: str, value: bytes) -> bytes:
    """Return a good body with one more field, whose value need not be JSON."""
    return json.dumps(GOOD[path]).encode()[:-1] + f', "{name}": '.encode() + value + b"}"


@dataclass(frozen=True)
class Raw:
    """A body that is no good before its fields are looked at."""

    id: str
    body: bytes
    status: int = 400
    says: str = "not valid JSON"
    headers: dict[str, str] = field(default_factory=dict)


RAW = [
    Raw("not JSON", b"model=smollm2"),
    Raw("empty", b"", says="The body is empty"),
    Raw("blank", b" \n ", says="The body is empty"),
    Raw("an array", b"[]", says="must be a JSON object"),
    Raw("a string", b'"hello"', says="must be a JSON object"),
    Raw("null", b"null", says="must be a JSON object"),
    Raw("cut off", b'{"model": "smollm2-135m-instruct", "messages": [{"role"'),
    Raw("two documents", b"{}{}"),
    Raw("invalid UTF-8", with_raw(CHAT, "user", b'"\xff\xfe"')),
    Raw("UTF-16", json.dumps(GOOD[CHAT]).encode("utf-16")),
    Raw("a lone high surrogate", with_raw(CHAT, "user", rb'"\ud800"')),
    Raw("a lone low surrogate", with_raw(CHAT, "user", rb'"\udc00 x"')),
    Raw("brackets that never close", b"[" * 10_000),
    Raw("10,000 nested arrays", nested(10_000)),
    Raw("10,000 nested objects", b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    Raw("10,000 nested arrays in a field", with_raw(CHAT, "metadata", nested(10_000))),
    Raw("10,000 nested arrays in a known field", with_raw(CHAT, "logit_bias", nested(10_000))),
    Raw("10 MB", b'{"model": "' + b"x" * 10_000_000 + b'"}', status=413, says="larger than the limit of"),
    Raw("10 MB of nothing", b" " * 10_000_000, status=413, says="larger than the limit of"),
    Raw(
        "a number of 5,000 digits",
        with_raw(CHAT, "max_tokens", b"9" * 5000),
        says="max_tokens|not valid JSON",
    ),
]


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS, SPEECH])
@pytest.mark.parametrize("case", RAW, ids=lambda case: case.id)
def test_a_body_that_is_no_request(http: httpx.Client, path: str, case: Raw) -> None:
    answer = http.post(path, content=case.body, headers=case.headers)

    assert_error(answer, case.status, case.says)


def test_a_body_of_unknown_length_is_limited_too(http: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 1_000_000

    assert_error(http.post(CHAT, content=pieces()), 413, "larger than the limit of")


MISSING = object()
TOO_LONG = "word " * 9000
TOO_LONG_TO_COUNT = "x" * 3_000_000

FIELDS: list[tuple[str, str, Any, str]] = [
    (CHAT, "model", MISSING, "required"),
    (CHAT, "model", None, "string"),
    (CHAT, "model", 5, "string"),
    (CHAT, "model", "", "at least 1 character"),
    (CHAT, "model", "all-minilm-l6-v2", "cannot do this; smollm2-135m-instruct can"),
    (CHAT, "messages", MISSING, "required"),
    (CHAT, "messages", [], "at least 1"),
    (CHAT, "messages", {}, "array"),
    (CHAT, "messages", "Hello", "array"),
    (CHAT, "messages", ["Hello"], "object"),
    (CHAT, "messages", [{"role": "user"}], "needs content"),
    (CHAT, "messages", [{"role": "user", "content": None}], "needs content"),
    (CHAT, "messages", [{"content": "Hello"}], "role: Field required"),
    (CHAT, "messages", [{"role": "king", "content": "Hello"}], "system.*tool"),
    (CHAT, "messages", [{"role": "user", "content": 5}], "string"),
    (CHAT, "messages", [{"role": "user", "content": [{"type": "sound"}]}], "text.*image_url"),
    (CHAT, "messages", [{"role": "user", "content": [{"type": "text"}]}], "required"),
    (
        CHAT,
        "messages",
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]}],
        "does not support image input",
    ),
    (CHAT, "messages", [{"role": "user", "content": TOO_LONG}], "context holds 8192; shorten messages"),
    (CHAT, "messages", [{"role": "user", "content": TOO_LONG_TO_COUNT}], "cannot fit.*shorten messages"),
    (CHAT, "max_tokens", 0, "greater than or equal to 1"),
    (CHAT, "max_tokens", -1, "greater than or equal to 1"),
    (CHAT, "max_tokens", 4097, "less than or equal to 4096"),
    (CHAT, "max_tokens", 10**300, "less than or equal to 4096"),
    (CHAT, "max_tokens", "12", "integer"),
    (CHAT, "max_tokens", 1.5, "integer"),
    (CHAT, "max_tokens", True, "integer"),
    (CHAT, "max_completion_tokens", 0, "greater than or equal to 1"),
    (CHAT, "temperature", -0.1, "greater than or equal to 0"),
    (CHAT, "temperature", 2.1, "less than or equal to 2"),
    (CHAT, "temperature", "hot", "number"),
    (CHAT, "temperature", float("nan"), "finite"),
    (CHAT, "temperature", float("inf"), "finite"),
    (CHAT, "top_p", 1.1, "less than or equal to 1"),
    (CHAT, "top_p", -1, "greater than or equal to 0"),
    (CHAT, "top_k", -1, "greater than or equal to 0"),
    (CHAT, "top_k", 2**40, "less than or equal to"),
    (CHAT, "top_k", 10**30, "less than or equal to"),
    (CHAT, "min_p", 2, "less than or equal to 1"),
    (CHAT, "frequency_penalty", 2.5, "less than or equal to 2"),
    (CHAT, "presence_penalty", -2.5, "greater than or equal to -2"),
    (CHAT, "repetition_penalty", 0, "greater than or equal to 0.01"),
    (CHAT, "repetition_penalty", 1e-40, "greater than or equal to 0.01"),
    (CHAT, "repetition_penalty", 1e30, "less than or equal to 10"),
    (CHAT, "seed", 1.5, "integer"),
    (CHAT, "n", 0, "greater than or equal to 1"),
    (CHAT, "n", 1000, "less than or equal to"),
    (CHAT, "stop", list("abcde"), "at most 4"),
    (CHAT, "stop", 5, "array"),
    (CHAT, "stop", [5], "string"),
    (CHAT, "stop", "", "at least 1 character"),
    (CHAT, "stream", "yes", "boolean"),
    (CHAT, "stream_options", True, "object"),
    (CHAT, "tools", [{"type": "function"}], "required"),
    (CHAT, "tools", [{"type": "function", "function": {"name": "f"}}] * 2, "given twice"),
    (CHAT, "tools", "all", "array"),
    (CHAT, "tool_choice", "required", "there is no function to call"),
    (CHAT, "tool_choice", {"type": "function", "function": {"name": "f"}}, "no function of that name"),
    (CHAT, "functions", [{"name": "an f"}], "pattern"),
    (CHAT, "response_format", {"type": "json_schema"}, "needs json_schema"),
    (CHAT, "response_format", {"type": "json_schema", "json_schema": {"name": "a"}}, "required"),
    (CHAT, "response_format", {"type": "xml"}, "json_object"),
    (CHAT, "logprobs", "yes", "boolean"),
    (CHAT, "top_logprobs", 2, "set logprobs to true"),
    (CHAT, "top_logprobs", 21, "less than or equal to 20"),
    (CHAT, "logit_bias", {"the": 5}, "'the' is no token id"),
    (CHAT, "logit_bias", {"50": 101}, "from -100 to 100"),
    (COMPLETIONS, "prompt", MISSING, "text, token ids|required"),
    (COMPLETIONS, "prompt", None, "text, token ids"),
    (COMPLETIONS, "prompt", 5, "text, token ids"),
    (COMPLETIONS, "prompt", "", "empty"),
    (COMPLETIONS, "prompt", [], "empty"),
    (COMPLETIONS, "prompt", ["Hello", ""], "empty"),
    (COMPLETIONS, "prompt", [[]], "empty"),
    (COMPLETIONS, "prompt", ["Hello", 5], "text, token ids"),
    (COMPLETIONS, "prompt", [5, -1], "token ids from 0"),
    (COMPLETIONS, "prompt", [2**70], "token ids"),
    (COMPLETIONS, "prompt", [1.5], "token ids"),
    (COMPLETIONS, "prompt", [1_000_000], "token id outside 0 to 49151"),
    (COMPLETIONS, "prompt", [[5], [1_000_000]], "token id outside 0 to 49151"),
    (COMPLETIONS, "prompt", ["Hello"] * 65, "64"),
    (COMPLETIONS, "prompt", TOO_LONG, "context holds 8192; shorten prompt"),
    (COMPLETIONS, "prompt", TOO_LONG_TO_COUNT, "cannot fit.*shorten prompt"),
    (COMPLETIONS, "prompt", [5] * 9000, "context holds 8192; shorten prompt"),
    (COMPLETIONS, "prompt", ["Hello", TOO_LONG], "context holds 8192; shorten prompt"),
    (COMPLETIONS, "stop", list("abcde"), "at most 4"),
    (COMPLETIONS, "echo", "yes", "boolean"),
    (COMPLETIONS, "suffix", 5, "string"),
    (COMPLETIONS, "best_of", 0, "greater than or equal to 1"),
    (COMPLETIONS, "best_of", 17, "less than or equal to 16"),
    (COMPLETIONS, "logprobs", 21, "less than or equal to 20"),
    (COMPLETIONS, "logit_bias", {"-1": 5}, "'-1' is no token id"),
    (EMBEDDINGS, "model", "smollm2-135m-instruct", "cannot do this; all-minilm-l6-v2 can"),
    (EMBEDDINGS, "input", MISSING, "text, token ids|required"),
    (EMBEDDINGS, "input", "", "empty"),
    (EMBEDDINGS, "input", [], "empty"),
    (EMBEDDINGS, "input", 5, "text, token ids"),
    (EMBEDDINGS, "input", [-5], "token ids from 0"),
    (EMBEDDINGS, "input", [2**70], "token ids"),
    (EMBEDDINGS, "input", [1_000_000], "token id outside 0 to"),
    (EMBEDDINGS, "input", "word " * 600, "takes 512 tokens"),
    (EMBEDDINGS, "input", [500] * 600, "takes 512 tokens"),
    (EMBEDDINGS, "input", TOO_LONG_TO_COUNT, "takes 512 tokens"),
    (EMBEDDINGS, "input", ["Hello"] * 2049, "2048"),
    (EMBEDDINGS, "encoding_format", "hex", "float.*base64"),
    (EMBEDDINGS, "dimensions", 0, "greater than or equal to 1"),
    (EMBEDDINGS, "dimensions", 385, "at most 384"),
    (SPEECH, "model", "whisper-1", "cannot do this; kokoro-82m can"),
    (SPEECH, "input", MISSING, "required"),
    (SPEECH, "input", "", "blank|at least 1 character"),
    (SPEECH, "input", " \n\t", "blank"),
    (SPEECH, "input", "x" * 4097, "at most 4096"),
    (SPEECH, "input", ["Hello."], "string"),
    (SPEECH, "voice", MISSING, "required"),
    (SPEECH, "voice", "", "at least 1 character"),
    (SPEECH, "voice", {"id": "voice_1"}, "string"),
    (SPEECH, "speed", 9, "less than or equal to 4"),
    (SPEECH, "speed", 0.1, "greater than or equal to 0.25"),
    (SPEECH, "speed", "fast", "number"),
    (SPEECH, "response_format", "ogg", "pcm.*flac"),
    (SPEECH, "stream_format", "sse", "sse|'audio'"),
]


@pytest.mark.parametrize(
    ("path", "name", "value", "says"),
    FIELDS,
    ids=[f"{path.rpartition('/')[2]} {name} {str(value)[:20]}" for path, name, value, _ in FIELDS],
)
def test_a_field_that_must_change(http: httpx.Client, path: str, name: str, value: Any, says: str) -> None:
    body = {k: v for k, v in (GOOD[path] | {name: value}).items() if v is not MISSING}

    error = assert_error(http.post(path, content=json.dumps(body)), 400, says)

    assert error["type"] == "invalid_request_error"
    assert name in f"{error['param']} {error['message']}"


@pytest.mark.parametrize("path", GOOD)
def test_an_unknown_model(http: httpx.Client, path: str) -> None:
    error = assert_error(http.post(path, json=GOOD[path] | {"model": "org/nobody"}), 404, "/v1/models")

    assert (error["code"], error["param"]) == ("model_not_found", "model")


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_before_a_stream_has_its_own_status(http: httpx.Client, stream: bool) -> None:
    for path, name, value in ((CHAT, "temperature", 5), (COMPLETIONS, "prompt", TOO_LONG)):
        assert_error(http.post(path, json=GOOD[path] | {name: value, "stream": stream}), 400, name)


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/nothing", "/v2/models", "/v1/chat", "/docs/assets/../../secrets", "/v1/models/a/b/c"],
)
def test_an_unknown_path(http: httpx.Client, path: str) -> None:
    assert_error(http.get(path), 404, "There is nothing at GET|/v1/models")


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("GET", CHAT, {"POST"}),
        ("PUT", CHAT, {"POST"}),
        ("OPTIONS", EMBEDDINGS, {"POST"}),
        ("GET", SPEECH, {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("DELETE", "/v1/models/kokoro-82m", {"GET", "HEAD"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("BREW", "/health", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_verb(http: httpx.Client, verb: str, path: str, allowed: set[str]) -> None:
    answer = http.request(verb, path)

    assert_error(answer, 405, " or ".join(sorted(allowed)))
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_a_body_that_does_not_arrive(
    lone_edge: Callable[..., AbstractContextManager[LoneEdge]],
) -> None:
    with (
        lone_edge(body_read_seconds=0.5) as edge,
        socket.create_connection(("127.0.0.1", int(edge.url.rpartition(":")[2])), 60) as wire,
    ):
        head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {edge.key}\r\n"
        wire.sendall(f'{head}Content-Length: 1000\r\n\r\n{{"model": '.encode())
        answer = wire.recv(65536)
        while b"\r\n\r\n{" not in answer or not answer.endswith(b"}"):
            answer += wire.recv(65536) or b"}"

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.5 seconds" in answer
