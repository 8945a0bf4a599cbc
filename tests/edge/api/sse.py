"""Reads server-sent events as strictly as the published clients do."""

import json
from typing import Any


def events(body: str) -> list[Any]:
    """Return the data of every event of *body*, which must end with ``[DONE]``."""
    assert "\r" not in body
    assert body.endswith("\n\n")
    blocks = body.removesuffix("\n\n").split("\n\n")
    assert all(block.startswith(("data: ", ": ")) and "\n" not in block for block in blocks)
    data = [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(item) for item in data[:-1]]
