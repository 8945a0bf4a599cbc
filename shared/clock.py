"""Moments as they are written in answers and in the database."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

Precision = Literal["seconds", "milliseconds", "microseconds"]


def rfc3339(moment: datetime, *, timespec: Precision = "seconds") -> str:
    """Return *moment*, which knows its time zone, as RFC 3339 in UTC: ``2026-01-31T23:59:59Z``."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def rfc3339_ms(unix_ms: int) -> str:
    """Return a moment in Unix milliseconds as RFC 3339 in UTC, to the millisecond; one just after another at
    next to no cost."""
    seconds, ms = divmod(unix_ms, 1000)
    return f"{_to_the_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=8)
def _to_the_second(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).replace(tzinfo=None).isoformat()
