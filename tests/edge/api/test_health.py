import pytest

from edge.api.health import overall
from edge.workers.worker import State
from tests.edge.api.conftest import Edge


def test_health_needs_no_key_and_takes_any(edge: Edge) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        response = edge.client.get("/health", headers=headers)
        assert response.status_code == 200
        body = response.json()
        assert body["status"] == "healthy"
        assert isinstance(body["runtime"], str)
        assert body["timestamp"].endswith("Z")
        assert set(body["features"]) == {"dynamic_loading", "huggingface_support"}
        assert body["backend"]["healthy"] is True
        assert set(body["backend"]["info"]) == {"name", "version", "extensions"}


def test_a_draining_edge_says_so_in_both_shapes(edge: Edge) -> None:
    edge.drain.draining = True
    try:
        response = edge.client.get("/health")
    finally:
        edge.drain.draining = False
    assert response.status_code == 503
    body = response.json()
    assert body["status"] == "unhealthy"
    assert body["detail"] == body["error"]["message"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.LOADED, State.LOADED], "healthy"),
        ([State.LOADED, State.FAILED], "degraded"),
        ([State.LOADED, State.LOADING], "degraded"),
        ([State.LOADING, State.FAILED], "unhealthy"),
    ],
)
def test_overall(states: list[State], expected: str) -> None:
    assert overall(states) == expected
