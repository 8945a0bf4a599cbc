import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest

from edge.accounts import shipping as shipping_module
from edge.accounts.shipping import Shipping
from edge.accounts.usage import Period, PeriodError, UsageService, period
from edge.store import OutboxStore, Sketch, UsageEvent, UsageStore, open_stores
from edge.store import usage as store_module
from tests.edge.store.usage_events import never, usage_event

pytestmark = pytest.mark.anyio

TODAY = date(2026, 3, 1)
DAYS = Period(TODAY, TODAY)


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text is not None else None


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (None, None, "2026-01-31", "2026-03-01"),
        ("2026-02-01", None, "2026-02-01", "2026-03-01"),
        (None, "2026-01-31", "2026-01-02", "2026-01-31"),
        ("2026-04-01", None, "2026-04-01", "2026-04-01"),
    ],
)
def test_a_period_is_the_last_thirty_days_unless_said_otherwise(
    start: str | None, end: str | None, first: str, last: str
) -> None:
    found = period(day(start), day(end), TODAY)
    assert (str(found.start), str(found.end)) == (first, last)


@pytest.mark.parametrize(("start", "end"), [("2026-03-02", "2026-03-01"), ("2024-01-01", "2026-01-01")])
def test_a_period_that_ends_before_it_starts_or_is_too_long_is_refused(start: str, end: str) -> None:
    with pytest.raises(PeriodError):
        period(date.fromisoformat(start), date.fromisoformat(end), TODAY)


class Stuck(UsageStore):
    """Takes nothing in any more: there is too much before it."""

    async def take_in(self, events: Sequence[UsageEvent], now: str) -> Sequence[UsageEvent]:
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_report_does_not_wait_for_all_that_was_not_sent_on_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping_module, "CATCH_UP_SECONDS", 0.05)
    async with open_stores(tmp_path, None) as stores:
        outbox, usage = OutboxStore(stores.local), UsageStore(stores.local)
        sent, unsent = usage_event(), usage_event()
        await outbox.settle([sent, unsent])
        await usage.take_in([sent], sent.at)
        shipping = Shipping(outbox, Stuck(stores.local), keep_days=1, refund=never)
        service = UsageService(usage, shipping, today=lambda: TODAY)
        with anyio.fail_after(5):
            report = await service.report(DAYS, tenant_id=sent.tenant_id)
        assert report.total.requests == 1


async def test_the_sketches_of_a_report_are_read_while_other_requests_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Sketch):
        @classmethod
        def from_bytes(cls, data: bytes) -> Any:
            time.sleep(0.1)
            return super().from_bytes(data)

    async with open_stores(tmp_path, None) as stores:
        usage = UsageStore(stores.local)
        event = usage_event()
        await usage.take_in([event], event.at)
        monkeypatch.setattr(store_module, "Sketch", Slow)
        service = UsageService(
            usage, Shipping(OutboxStore(stores.local), usage, keep_days=1, refund=never), today=lambda: TODAY
        )
        gaps: list[float] = []

        async def beat() -> None:
            while True:
                before = time.monotonic()
                await anyio.sleep(0.005)
                gaps.append(time.monotonic() - before)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            report = await service.report(DAYS, tenant_id=event.tenant_id)
            tasks.cancel_scope.cancel()
        assert report.total.requests == 1
        assert len(gaps) > 10
