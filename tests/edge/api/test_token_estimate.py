import orjson
import pytest

from edge.api.parsing import MAX_BRACKETS
from edge.api.token_estimate import MOST_TOKENS, estimate_tokens


def counted(**fields: object) -> int:
    body = orjson.dumps(fields)
    return estimate_tokens(body) - len(body) // 4


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"prompt": "hello"}, 0),
        ({"max_tokens": 50}, 50),
        ({"max_completion_tokens": 20, "max_tokens": 50}, 20),
        ({"max_tokens": 50, "n": 3}, 150),
        ({"max_tokens": 50, "n": 2, "best_of": 5}, 250),
        ({"max_tokens": "many", "n": None}, 0),
        ({"max_tokens": -5}, 0),
    ],
)
def test_a_request_counts_what_it_may_be_answered_with(fields: dict[str, object], tokens: int) -> None:
    assert counted(**fields) == tokens


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_request_counts_one(body: bytes) -> None:
    assert estimate_tokens(body) == 1


def test_a_body_of_brackets_is_not_read() -> None:
    body = b'{"max_tokens": 5, "x": ' + b"[" * MAX_BRACKETS + b"]" * MAX_BRACKETS + b"}"
    assert estimate_tokens(body) == len(body) // 4


def test_no_number_is_too_large() -> None:
    assert estimate_tokens(b'{"max_tokens": 9223372036854775807, "n": 1000}') == MOST_TOKENS
