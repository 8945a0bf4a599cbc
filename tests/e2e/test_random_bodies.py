"""Whatever a body holds, the real engine answers it, or a 400 says what to change; nothing dies of it."""

from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from tests.e2e.bodies import CHAT, COMPLETIONS, EMBEDDINGS
from tests.e2e.errors import assert_error
from tests.edge.api.random_bodies import likely_chats, likely_completions, likely_embeddings, several
from tests.edge.api.sse import events

EXAMPLES = 120
FEW_TOKENS = 6


def short(body: dict[str, Any]) -> dict[str, Any]:
    """Return *body* asking for few tokens, so that it ends soon; limits that are refused stay."""
    given_limits = {
        name: min(body[name], FEW_TOKENS) if body[name] <= 4096 else body[name]
        for name in ("max_tokens", "max_completion_tokens")
        if name in body
    }
    return body | (given_limits or {"max_tokens": FEW_TOKENS})


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("path", "bodies"),
    [(CHAT, likely_chats), (COMPLETIONS, likely_completions), (EMBEDDINGS, likely_embeddings)],
    ids=["chat", "completions", "embeddings"],
)
def test_random_bodies(http: httpx.Client, path: str, bodies: st.SearchStrategy[dict[str, Any]]) -> None:
    seen: Counter[int] = Counter()
    for drawn in several(bodies, EXAMPLES):
        body = drawn if path == EMBEDDINGS else short(drawn)
        answer = http.post(path, json=body)
        seen[answer.status_code] += 1
        assert answer.status_code in (200, 400), (body, answer.text)
        if answer.status_code == 400:
            assert_error(answer, 400, ".")
        elif answer.headers["content-type"].startswith("text/event-stream"):
            assert not any("error" in event for event in events(answer.text)), body
        else:
            assert answer.json()["data" if path == EMBEDDINGS else "choices"], body
    # A fuzz that hardly ever saw one side of the answer would test little.
    assert min(seen[200], seen[400]) >= EXAMPLES // 6, seen
