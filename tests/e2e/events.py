"""Server-sent events as they come over the wire."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

ENDLESS: dict[str, Any] = {
    "model": "smollm2-135m-instruct",
    "prompt": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,",
    "temperature": 0,
    "max_tokens": 4000,
}
"""Counts on for minutes."""


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a streamed answer up to ``[DONE]``, which must be there and be the last.

    Keep the iterator for as long as the answer is wanted: when it goes, the client has left.
    """
    assert answer.status_code == 200
    done = False
    for line in answer.iter_lines():
        assert not done or line == ""
        if line == "data: [DONE]":
            done = True
        elif line.startswith("data: "):
            event: dict[str, Any] = json.loads(line.removeprefix("data: "))
            yield event
    assert done
