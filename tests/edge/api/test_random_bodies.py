"""Whatever a body holds, it is answered with 200 or with a 400 that says what to change."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from starlette.testclient import TestClient

from tests.edge.api.random_bodies import chats, completions
from tests.edge.api.sse import events

# The client's session outlives every example.
checked = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(client: TestClient, path: str, body: dict[str, Any]) -> None:
    response = client.post(path, json=body)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        error = response.json()
        assert error["detail"] == error["error"]["message"] != ""
        assert len(response.content) < 4000
    elif response.headers["content-type"].startswith("text/event-stream"):
        assert not any("error" in chunk for chunk in events(response.text))
    else:
        assert response.json()["choices"]


@checked
@given(chats)
def test_chats(client: TestClient, body: dict[str, Any]) -> None:
    check(client, "/v1/chat/completions", body)


@checked
@given(completions)
def test_completions(client: TestClient, body: dict[str, Any]) -> None:
    check(client, "/v1/completions", body)
