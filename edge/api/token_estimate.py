"""How many tokens a request may use, before it is known how many it does."""

from typing import Any

import orjson

from edge.api.parsing import MAX_BRACKETS

BYTES_PER_TOKEN = 4
"""Of English text; OpenAI's own rule of thumb, by which it counts requests against its limits."""

MOST_TOKENS = 2**31


def estimate_tokens(body: bytes) -> int:
    """Return the tokens that are counted for a JSON request of text before it runs: what its length makes
    likely for the prompt, and what it asks for at most as an answer. At least one.

    A request without a limit of its own counts its prompt alone.
    """
    prompt = len(body) // BYTES_PER_TOKEN
    return max(1, min(MOST_TOKENS, prompt + _asked(body)))


def _asked(body: bytes) -> int:
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        return 0
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 0
    if not isinstance(fields, dict):
        return 0
    tokens = _count(fields, "max_completion_tokens") or _count(fields, "max_tokens")
    if "n" in fields or "best_of" in fields:
        tokens *= max(1, _count(fields, "n"), _count(fields, "best_of"))
    return tokens


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and value > 0 else 0
