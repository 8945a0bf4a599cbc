from datetime import UTC, datetime, timedelta

import pytest

from edge.accounts.freshness import Freshness
from edge.store import StoreError

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "found", "believed"),
    [
        (0, None, True),
        (10, None, True),
        (10.1, None, False),
        (10.1, "a key", True),
        (100, "a key", True),
        (100.1, "a key", False),
    ],
)
def test_a_copy_is_believed_for_its_time(age: float, found: str | None, believed: bool) -> None:
    now = START + timedelta(seconds=age)
    freshness = Freshness(stale_seconds=100, doubt_seconds=10, now=lambda: now)
    freshness.confirmed_at = START
    if believed:
        freshness.check(found)
        return
    with pytest.raises(StoreError, match="last heard of"):
        freshness.check(found)


@pytest.mark.parametrize("found", [None, "a key"])
def test_a_copy_that_was_never_whole_is_not_believed(found: str | None) -> None:
    with pytest.raises(StoreError, match="not been copied"):
        Freshness(stale_seconds=100, doubt_seconds=10).check(found)
