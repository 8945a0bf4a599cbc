"""Whatever a body holds, the real engine answers it, or a 400 says what to change; nothing dies of it."""

from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.bodies import CHAT, COMPLETIONS, EMBEDDINGS
from tests.e2e.errors import assert_error
from tests.edge.api.random_bodies import likely_chats, likely_completions, likely_embeddings
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

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies)
    def ask(body: dict[str, Any]) -> None:
        answer = http.post(path, json=body if path == EMBEDDINGS else short(body))
        seen[answer.status_code] += 1
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            assert_error(answer, 400, ".")
        elif answer.headers["content-type"].startswith("text/event-stream"):
            assert not any("error" in event for event in events(answer.text))
        else:
            assert answer.json()["data" if path == EMBEDDINGS else "choices"]

    ask()
    # A fuzz that only one side of the answer ever saw would test nothing.
    assert min(seen[200], seen[400]) >= EXAMPLES // 12, seen
