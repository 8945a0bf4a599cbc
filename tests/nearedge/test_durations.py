from datetime import timedelta

import pytest

from nearedge.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), (" 1d ", 86_400)],
)
def test_lengths_of_time_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "-1h", "1.5h", "1w", "1h30m", "9" * 11, "36601d", "\u0661d"])
def test_what_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 15m, 12h or 30d"):
        parse_duration(text)
