import pytest

from edge.settings import EdgeSettings
from shared.settings import SettingsError, load


@pytest.mark.parametrize(
    ("queue", "given", "expected"),
    [("64", "0", 32), ("1", "0", 1), ("7", "0", 3), ("64", "5", 5), ("8", "8", 8)],
)
def test_soft_limit_is_half_of_the_queue_unless_set(queue: str, given: str, expected: int) -> None:
    settings = load(EdgeSettings, {"NEAREDGE_EDGE_QUEUE": queue, "NEAREDGE_EDGE_SOFT_LIMIT": given})
    assert settings.soft_limit == expected


def test_soft_limit_above_the_queue_is_refused() -> None:
    with pytest.raises(SettingsError, match="NEAREDGE_EDGE_SOFT_LIMIT must not be above NEAREDGE_EDGE_QUEUE"):
        load(EdgeSettings, {"NEAREDGE_EDGE_QUEUE": "8", "NEAREDGE_EDGE_SOFT_LIMIT": "9"})
