"""What was used, added up as it was asked for."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from edge.accounts.shipping import Shipping
from edge.store import UsageGroup, UsageRow, UsageStore, UsageSum

LONGEST_DAYS = 366
DEFAULT_DAYS = 30
MOST_ROWS = 50_000
"""Sums that one report may be made of: a day, key, model, region and service have one."""

GROUPS = ("day", "model", "adapter", "region", "service", "path", "key_id")
"""What a report may be divided by."""


class PeriodError(ValueError):
    """The days asked for cannot be reported; the message says why."""


@dataclass(frozen=True, slots=True)
class Period:
    """UTC days, both included."""

    start: date
    end: date


def period(start: date | None, end: date | None, today: date) -> Period:
    """Return the days from *start* to *end*: by default the last thirty up to today.

    Raises:
        PeriodError: it ends before it starts, or is longer than a year.
    """
    last = end or max(today, start or today)
    first = start or last - timedelta(days=DEFAULT_DAYS - 1)
    if last < first:
        raise PeriodError(f"start_date {first} is after end_date {last}")
    if (last - first).days >= LONGEST_DAYS:
        raise PeriodError(f"at most {LONGEST_DAYS} days can be asked for at once")
    return Period(first, last)


Part = tuple[tuple[str, ...], UsageSum]
"""The values of what a report is divided by, and the sum of what has them in common."""


class Report:
    """The sums of a period, to be divided in several ways."""

    def __init__(self, rows: Sequence[UsageRow]) -> None:
        self._rows = rows

    @property
    def total(self) -> UsageSum:
        return _sum(total for _, total in self._rows)

    def by(self, *names: str) -> list[Part]:
        """Return the sums divided by *names*, which are among GROUPS, in their order."""
        parts: dict[tuple[str, ...], UsageSum] = {}
        for group, total in self._rows:
            parts.setdefault(_values(group, names), UsageSum()).merge(total)
        return sorted(parts.items(), key=lambda part: part[0])


def _values(group: UsageGroup, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(getattr(group, name) for name in names)


def _sum(totals: Iterable[UsageSum]) -> UsageSum:
    whole = UsageSum()
    for total in totals:
        whole.merge(total)
    return whole


class UsageService:
    """Reports usage from the sums by day, into which *shipping* brings what this edge has not sent on yet."""

    def __init__(self, store: UsageStore, shipping: Shipping, *, today: Callable[[], date]) -> None:
        self._store = store
        self._shipping = shipping
        self._today = today

    def period(self, start: date | None, end: date | None) -> Period:
        """Return the days from *start* to *end*, see :func:`period`."""
        return period(start, end, self._today())

    async def report(self, days: Period, *, tenant_id: str, key_id: str | None = None) -> Report:
        """Return what one key used on *days*, or with None all keys of the tenant.

        Raises:
            PeriodError: that is more than one report may be made of.
            StoreError: a database failed.
        """
        await self._shipping.catch_up()
        rows = await self._store.days(
            start=str(days.start), end=str(days.end), tenant_id=tenant_id, key_id=key_id, limit=MOST_ROWS + 1
        )
        if len(rows) > MOST_ROWS:
            raise PeriodError("that is too much for one report; ask for fewer days")
        return Report(rows)
