from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from shared.clock import rfc3339, rfc3339_ms


def test_moment_is_written_in_utc() -> None:
    toronto = datetime(2026, 1, 31, 18, 59, 59, 123_456, tzinfo=timezone(timedelta(hours=-5)))
    assert rfc3339(toronto) == "2026-01-31T23:59:59Z"
    assert rfc3339(toronto, timespec="milliseconds") == "2026-01-31T23:59:59.123Z"


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants it so
def test_what_is_written_is_read_again(moment: datetime) -> None:
    read = datetime.fromisoformat(rfc3339(moment, timespec="milliseconds"))
    assert moment - read < timedelta(milliseconds=1)
    assert read.tzinfo == UTC


def test_moments_in_order_are_texts_in_order() -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    texts = [rfc3339(day + timedelta(seconds=7 * number)) for number in range(1000)]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {len("2026-01-31T23:59:59Z")}


@given(st.integers(0, 4_102_444_800_000))
def test_milliseconds_are_written_like_moments(unix_ms: int) -> None:
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC) + timedelta(milliseconds=unix_ms % 1000)
    assert rfc3339_ms(unix_ms) == rfc3339(moment, timespec="milliseconds")
