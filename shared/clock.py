"""Moments as they are written in answers and in the database."""

from datetime import UTC, datetime
from typing import Literal

Precision = Literal["seconds", "milliseconds", "microseconds"]


def rfc3339(moment: datetime, *, timespec: Precision = "seconds") -> str:
    """Return *moment*, which knows its time zone, as RFC 3339 in UTC: ``2026-01-31T23:59:59Z``."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
