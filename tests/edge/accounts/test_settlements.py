from collections.abc import Sequence

import anyio
import pytest

from edge.accounts import settlements as module
from edge.accounts.settlements import Settlements
from edge.store import MOST_TOGETHER, OutboxStore, StoreError, UsageEvent
from tests.edge.store.usage_events import never, usage_event

pytestmark = pytest.mark.anyio


class Outbox(OutboxStore):
    """Keeps what it is given, after failing *failures* times."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[tuple[list[str], bool]] = []
        self._failures = failures

    async def settle(self, events: Sequence[UsageEvent], *, again: bool = False) -> Sequence[UsageEvent]:
        await anyio.sleep(0.01)
        self.batches.append(([event.id for event in events], again))
        if self._failures:
            self._failures -= 1
            raise StoreError("disk full")
        return [event for event in events if event.id == "known"]


async def test_calls_that_end_meanwhile_are_committed_together() -> None:
    outbox = Outbox()
    settlements = Settlements(outbox, never)
    events = [usage_event() for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(settlements.run)
        first = settlements.add(events[0])
        await anyio.sleep(0.005)
        rest = [settlements.add(event) for event in events[1:]]
        assert not first.done
        assert [await receipt.wait() for receipt in (first, *rest)] == [None] * 5
        settlements.close()
    assert [ids for ids, _ in outbox.batches] == [[events[0].id], [event.id for event in events[1:]]]


async def test_what_was_added_before_the_close_is_still_committed() -> None:
    outbox = Outbox()
    settlements = Settlements(outbox, never)
    receipt = settlements.add(usage_event())
    settlements.close()
    await settlements.run()
    assert await receipt.wait() is None
    assert len(outbox.batches) == 1


async def test_a_database_that_fails_for_a_while_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    outbox = Outbox(failures=2)
    settlements = Settlements(outbox, never)
    receipt = settlements.add(usage_event())
    settlements.close()
    await settlements.run()
    assert await receipt.wait() is None
    assert [again for _, again in outbox.batches] == [False, True, True]


async def test_one_that_goes_on_failing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    settlements = Settlements(Outbox(failures=1000), never)
    receipt = settlements.add(usage_event())
    settlements.close()
    await settlements.run()
    assert str(await receipt.wait()) == "disk full"


async def test_nobody_waits_for_ever_where_nothing_is_settled_any_more() -> None:
    settlements = Settlements(Outbox(), never)
    first = settlements.add(usage_event())
    with anyio.move_on_after(0.001):
        await settlements.run()
    with anyio.fail_after(5):
        for receipt in (first, settlements.add(usage_event())):
            assert isinstance(await receipt.wait(), StoreError)


async def test_a_caller_may_give_up_waiting_and_begin_again() -> None:
    settlements = Settlements(Outbox(), never)
    receipts = [settlements.add(usage_event()) for _ in range(2)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(settlements.run)
        with anyio.move_on_after(0.001):
            await receipts[0].wait()
        assert not receipts[0].done
        assert [await receipt.wait() for receipt in receipts] == [None, None]
        settlements.close()


async def test_a_crowd_is_settled_in_few_transactions_and_a_call_alone_at_once() -> None:
    outbox = Outbox()
    settlements = Settlements(outbox, never)

    async def call(number: int) -> None:
        await anyio.sleep(number * 0.0002)
        await settlements.add(usage_event()).wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(settlements.run)
        async with anyio.create_task_group() as calls:
            for number in range(MOST_TOGETHER + 40):
                calls.start_soon(call, number)
        sizes = [len(ids) for ids, _ in outbox.batches]
        assert sum(sizes) == MOST_TOGETHER + 40
        assert max(sizes) <= MOST_TOGETHER
        assert len(sizes) <= 10
        settlements.close()


async def test_what_may_be_known_is_looked_up_and_what_is_known_is_given_back() -> None:
    outbox = Outbox()
    refunded: list[UsageEvent] = []
    settlements = Settlements(outbox, refunded.append)
    known = usage_event()._replace(id="known")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(settlements.run)
        for event, again in ((usage_event(), False), (known, True), (usage_event(), False)):
            assert await settlements.add(event, again=again).wait() is None
        settlements.close()
    assert [again for _, again in outbox.batches] == [False, True, False]
    assert refunded == [known]
