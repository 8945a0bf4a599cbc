"""An edge's books in a process that is killed: ``python -m tests.edge.accounts.killed_edge HOME [URL]``.

It runs calls of a prepaid tenant without end, some at a time, and prints a line for each that has ended: what
a caller knows who has got the whole answer. With ``NAMED`` in the environment each call has a name, from a
number of that list on, and is done as if it had been asked for by that name.
"""

import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import anyio

from edge.accounts import Billing, Key, Limits, Scope, Tenant
from edge.accounts.books import open_books
from edge.accounts.idempotency import Idempotency, Identity, StoredAnswer
from edge.accounts.metering import Metering, Work
from edge.api.metered import RepeatableEvents
from edge.models import load_catalogue
from edge.models.served import ServedModel
from edge.settings import EdgeSettings
from edge.store import Stores, open_stores
from edge.workers.messages import Audio, Finished, Speak, Spoken
from edge.workers.stream import EventStream

TENANT = Tenant("acme", "Acme", Billing.PREPAID, Limits(), "")
KEY = Key("key_1", TENANT, "test", frozenset({Scope.INFERENCE}), "")
ORDER = Speak("hello", "af_sarah")
AT_A_TIME = 8


class Worker:
    """Speaks at once."""

    def __init__(self) -> None:
        self.info: dict[str, object] = {}

    @asynccontextmanager
    async def request(self, *_: object) -> AsyncIterator[EventStream]:
        stream = EventStream(1, lambda: None)
        stream.put(0, Audio(b"hello", 5))
        stream.put(0, Spoken(5, 0.3))
        stream.end(Finished(1))
        yield stream


async def calls(metering: Metering, work: Work) -> None:
    while True:
        async with metering.call(work) as stream:
            _ = [event async for event in stream]
        os.write(1, b"answered\n")
        await anyio.sleep(random.random() / 100)


async def named_call(idempotency: Idempotency, metering: Metering, work: Work, name: str) -> None:
    """Do what has a name, unless it was done."""
    identity = Identity(name, TENANT.id, "", keep_seconds=3600, fleetwide=True)
    if await idempotency.find(identity) is not None:
        return
    claimed = await idempotency.claim(identity)
    assert claimed is not None
    async with metering.call(RepeatableEvents(claimed, outlives=True).name(work)) as stream:
        _ = [event async for event in stream]
    await idempotency.keep(identity, StoredAnswer(200, (), b"hello"), status=200)


async def named_calls(
    idempotency: Idempotency, metering: Metering, work: Work, caller: int, number: int
) -> None:
    while True:
        await named_call(idempotency, metering, work, f"{caller} {number}")
        os.write(1, f"answered {caller} {number}\n".encode())
        number += 1
        await anyio.sleep(random.random() / 100)


def open_idempotency(stores: Stores) -> Idempotency:
    """Return one whose claims nobody has to wait for when it was killed."""
    return Idempotency(stores, answer_limit_bytes=100, total_limit_bytes=10**6, lease_seconds=0)


def speaking() -> Work:
    model = load_catalogue().resolve("kokoro-82m")
    served = cast("ServedModel", SimpleNamespace(model=model, worker=Worker(), id="kokoro-82m"))
    return Work(KEY, served, (ORDER,), "audio/speech", "yto-01")


async def main(home: Path, url: str | None) -> None:
    settings, work = EdgeSettings(home=home), speaking()
    named = json.loads(os.environ.get("NAMED", "[]"))
    async with (
        open_stores(home, url) as stores,
        open_books(stores, settings) as books,
        anyio.create_task_group() as tasks,
    ):
        for caller, number in enumerate(named):
            tasks.start_soon(named_calls, open_idempotency(stores), books.metering, work, caller, number)
        for _ in range(0 if named else AT_A_TIME):
            tasks.start_soon(calls, books.metering, work)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
