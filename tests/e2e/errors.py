"""What every error of both services looks like."""

import re
from typing import Any

import httpx


def assert_error(answer: httpx.Response, status: int, says: str) -> dict[str, Any]:
    """See that *answer* is the error body of the API, and return its ``error``.

    ``detail`` must match the pattern *says*, in any case.
    """
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert body.keys() >= {"detail", "error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"] == body["detail"]
    assert re.search(says, body["detail"], re.IGNORECASE | re.DOTALL), body["detail"]
    assert len(body["detail"]) < 1000
    error: dict[str, Any] = body["error"]
    return error
