from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from edge.accounts import Billing, Key, Limits, Scope, Tenant
from edge.accounts import metering as module
from edge.accounts.leases import Lease, Reservation
from edge.accounts.metering import Metering, Work
from edge.accounts.settlements import Settlements
from edge.accounts.wallet import Wallet
from edge.errors import (
    ClientGone,
    InsufficientCredits,
    InvalidField,
    NoCapacity,
    StoreUnavailable,
    WorkerFailed,
)
from edge.models import load_catalogue
from edge.models.served import ServedModel
from edge.store import OutboxStore, StoreError, UsageEvent
from edge.workers.messages import Audio, Embed, Failed, Finished, Generate, Generated, Speak, Text, Vectors
from edge.workers.stream import EventStream
from tests.edge.store.usage_events import never

pytestmark = pytest.mark.anyio

WANTED = Generate(prompt="hello", max_tokens=10)
END = Generated("stop", 4, 2, queue_ms=3.0, cached_tokens=1)


class Outbox(OutboxStore):
    """Keeps events; waits for *gate* and fails if it is told to."""

    def __init__(self) -> None:
        self.events: list[UsageEvent] = []
        self.again: list[bool] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.failing = False

    async def settle(self, events: Sequence[UsageEvent], *, again: bool = False) -> Sequence[UsageEvent]:
        await self.gate.wait()
        if self.failing:
            raise StoreError("disk full")
        self.events += events
        self.again.append(again)
        return ()


class Purse:
    """Has *micro* and no database."""

    def __init__(self, micro: int) -> None:
        self.lease = Lease("lease_1", "acme", micro, 0, 1e9, 0.0)

    async def reserve(self, tenant: Tenant, micro: int) -> Reservation:
        if tenant.billing is not Billing.PREPAID:
            return Reservation()
        if micro > self.lease.free:
            raise InsufficientCredits("too little")
        self.lease.reserve(micro, 0.0)
        return Reservation(self.lease, micro)


class Worker:
    """Opens one stream, which the test fills."""

    def __init__(self, size: int = 1, error: Exception | None = None) -> None:
        self.info = {"context_tokens": 100}
        self.closed = anyio.Event()
        self.stream = EventStream(size, self.closed.set)
        self._error = error

    @asynccontextmanager
    async def request(self, *_: object) -> AsyncIterator[EventStream]:
        if self._error is not None:
            raise self._error
        try:
            yield self.stream
        finally:
            self.stream.close()


class Desk:
    """Metering over a worker, a purse and an outbox of the test."""

    def __init__(self, worker: Worker, outbox: Outbox, settlements: Settlements, micro: int) -> None:
        self.worker = worker
        self.outbox = outbox
        self.purse = Purse(micro)
        self._metering = Metering(cast("Wallet", self.purse), settlements)

    def call(
        self,
        *orders: Any,
        model: str = "smollm2",
        billing: Billing = Billing.PREPAID,
        per_prompt: int = 1,
        **known: Any,
    ) -> Any:
        tenant = Tenant("acme", "Acme", billing, Limits(), "")
        key = Key("key_1", tenant, "test", frozenset({Scope.INFERENCE}), "")
        found = load_catalogue().resolve(model)
        served = cast("ServedModel", SimpleNamespace(model=found, worker=self.worker, id=model))
        work = Work(
            *(key, served, orders or (WANTED,), "chat/completions", "yto-01"),
            per_prompt=per_prompt,
            **known,
        )
        return self._metering.call(work)

    @property
    def event(self) -> UsageEvent:
        (event,) = self.outbox.events
        return event


@asynccontextmanager
async def desk(worker: Worker | None = None, micro: int = 10_000) -> AsyncIterator[Desk]:
    outbox = Outbox()
    settlements = Settlements(outbox, never)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(settlements.run)
        yield Desk(worker or Worker(), outbox, settlements, micro)
        settlements.close()


async def test_a_call_that_ends_well_is_settled_before_its_reader_is_told() -> None:
    async with desk() as at:
        at.outbox.gate = anyio.Event()
        async with at.call() as stream:
            stream.put(0, Text("a", 1))
            stream.put(0, Text("b", 1))
            stream.put(0, END)
            stream.end(Finished(1))
            for _ in range(3):
                await anext(stream)
            with anyio.move_on_after(0.05):
                await anext(stream)
                raise AssertionError("told of the end before its call was settled")
            at.outbox.gate.set()
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        event = at.event
        assert (event.status, event.prompt_tokens, event.cached_tokens, event.completion_tokens) == (
            200,
            4,
            1,
            2,
        )
        assert event.queue_ms == 3.0
        assert 0 < event.first_byte_ms <= event.total_ms
        assert event.cost_micro == event.charged_micro == 1
        assert event.lease_id == "lease_1"
        assert (at.purse.lease.reserved, at.purse.lease.settled) == (0, 1)


async def test_a_reader_who_stops_at_the_last_event_has_had_it_all() -> None:
    async with desk() as at:
        async with at.call(Embed(["a"]), model="all-minilm-l6-v2") as stream:
            stream.put(0, Vectors(b"", 3, 7))
            await anext(stream)
        assert (at.event.status, at.event.prompt_tokens) == (200, 7)


async def test_one_who_leaves_pays_for_what_was_made_until_the_worker_let_go() -> None:
    async with desk() as at:
        async with anyio.create_task_group() as tasks:

            async def worker() -> None:
                await at.worker.closed.wait()
                at.worker.stream.tally.take(0, Generated("cancelled", 4, 6))
                at.worker.stream.end(Finished(1))

            tasks.start_soon(worker)
            with anyio.CancelScope() as scope:
                async with at.call() as stream:
                    stream.put(0, Text("a", 5))
                    await anext(stream)
                    scope.cancel()
                    await anyio.sleep(10)
        event = at.event
        assert (event.status, event.prompt_tokens, event.completion_tokens) == (499, 4, 6)
        assert event.charged_micro == event.cost_micro == 1
        assert at.purse.lease.reserved == 0


async def test_a_worker_that_does_not_let_go_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LET_GO_SECONDS", 0.05)
    async with desk() as at:
        with suppress(ClientGone):
            async with at.call() as stream:
                stream.put(0, Text("a", 200))
                await anext(stream)
                raise ClientGone
        assert (at.event.status, at.event.completion_tokens) == (499, 200)


async def test_a_stream_that_is_dropped_without_an_error_was_left() -> None:
    async with desk() as at:
        async with at.call(Speak("hello", "af_sarah"), model="kokoro-82m") as stream:
            stream.put(0, Audio(b"x", 2))
            stream.close()
            stream.end(Finished(1))
        assert (at.event.status, at.event.characters, at.event.cost_micro) == (499, 2, 2)


async def test_what_a_worker_tells_of_a_call_that_was_dropped_does_not_make_it_a_whole_one() -> None:
    async with desk() as at:
        async with anyio.create_task_group() as tasks:

            async def worker() -> None:
                await at.worker.closed.wait()
                at.worker.stream.tally.take(0, Generated("cancelled", 4, 6))
                at.worker.stream.end(Finished(1))

            tasks.start_soon(worker)
            async with at.call() as stream:
                stream.put(0, Text("a", 5))
                await anext(stream)
        assert (at.event.status, at.event.completion_tokens) == (499, 6)


@pytest.mark.parametrize(("invalid", "status"), [(False, 502), (True, 400)])
async def test_a_call_that_fails_is_free_but_told_of(invalid: bool, status: int) -> None:
    async with desk() as at:
        with suppress(WorkerFailed, InvalidField):
            async with at.call() as stream:
                stream.put(0, Text("a", 3))
                stream.end(Failed(1, "no", invalid=invalid))
                _ = [event async for event in stream]
        assert (at.event.status, at.event.completion_tokens) == (status, 3)
        assert (at.event.cost_micro, at.event.charged_micro) == (0, 0)
        assert at.purse.lease.free == 10_000


async def test_a_full_worker_is_no_cost() -> None:
    async with desk(Worker(error=NoCapacity("full"))) as at:
        with pytest.raises(NoCapacity):
            async with at.call():
                raise AssertionError
        assert (at.event.status, at.event.cost_micro, at.event.first_byte_ms) == (503, 0, 0.0)
        assert at.purse.lease.free == 10_000


async def test_without_credits_the_worker_is_not_asked() -> None:
    async with desk(Worker(error=WorkerFailed("asked")), micro=0) as at:
        with pytest.raises(InsufficientCredits):
            async with at.call():
                raise AssertionError
        assert at.outbox.events == []


async def test_choices_share_the_prompt_that_they_continue() -> None:
    async with desk(Worker(4)) as at:
        async with at.call(*[WANTED] * 4, per_prompt=2) as stream:
            for index in range(4):
                stream.put(index, END)
                stream.end(Finished(index))
            assert len([event async for event in stream]) == 4
        assert (at.event.prompt_tokens, at.event.cached_tokens, at.event.completion_tokens) == (8, 2, 8)


@pytest.mark.parametrize("billing", list(Billing))
async def test_a_call_that_cannot_be_written_down_fails_if_somebody_pays(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.accounts.settlements.PATIENCE_SECONDS", 0.0)
    async with desk() as at:
        at.outbox.failing = True
        failure = None
        try:
            async with at.call(billing=billing) as stream:
                stream.put(0, END)
                stream.end(Finished(1))
                _ = [event async for event in stream]
        except StoreUnavailable as error:
            failure = error
        assert (failure is None) == (billing is Billing.UNMETERED)


@pytest.mark.parametrize(("billing", "charged"), [(Billing.POSTPAID, 1), (Billing.UNMETERED, 0)])
async def test_who_pays_later_is_charged_and_who_does_not_pay_is_not(billing: Billing, charged: int) -> None:
    async with desk(micro=0) as at:
        async with at.call(billing=billing) as stream:
            stream.put(0, END)
            stream.end(Finished(1))
            _ = [event async for event in stream]
        event = at.event
        assert (event.cost_micro, event.charged_micro, event.lease_id) == (1, charged, None)


async def test_waiting_for_the_settlement_may_be_given_up_and_taken_up_again() -> None:
    async with desk() as at:
        at.outbox.gate = anyio.Event()
        async with at.call() as stream:
            stream.put(0, END)
            stream.end(Finished(1))
            await anext(stream)
            for _ in range(3):
                with anyio.move_on_after(0.01):
                    await stream.take(10)
            at.outbox.gate.set()
            with pytest.raises(StopAsyncIteration):
                await stream.take(10)
        assert at.event.status == 200


async def test_a_call_that_is_done_again_after_a_crash_has_the_same_event_once_it_goes_well() -> None:
    ids = []
    for end in (Finished(1), Failed(1, "died"), Finished(1)):
        async with desk() as at:
            with suppress(WorkerFailed):
                async with at.call(event_id="use_job") as stream:
                    stream.put(0, END)
                    stream.end(end)
                    _ = [event async for event in stream]
            ids.append(at.event.id)
            assert at.outbox.again == [False]
    assert ids[0] == ids[2] == "use_job" != ids[1]


@pytest.mark.parametrize(("resumes", "charged"), [(False, 1), (True, 0)])
async def test_who_leaves_a_call_with_an_id_pays_unless_it_is_done_again_where_it_broke_off(
    resumes: bool, charged: int
) -> None:
    async with desk() as at:
        with suppress(ClientGone):
            async with at.call(event_id="use_known", again=True, resumes=resumes) as stream:
                stream.put(0, Text("a", 6))
                stream.put(0, Generated("cancelled", 4, 6))
                stream.end(Finished(1))
                raise ClientGone
        assert (at.event.status, at.event.charged_micro) == (499, charged)
        assert at.event.id != "use_known"
        assert at.outbox.again == [True]


async def test_a_call_that_is_over_is_not_kept_by_its_stream() -> None:
    async with desk() as at:
        async with at.call() as stream:
            stream.put(0, END)
            stream.end(Finished(1))
            assert stream.before_end is not None
            _ = [event async for event in stream]
        assert at.worker.stream.before_end is None
    async with desk() as at:
        with suppress(ClientGone):
            async with at.call() as stream:
                stream.end(Finished(1))
                raise ClientGone
        assert at.worker.stream.before_end is None
