"""An edge's books in a process that is killed: ``python -m tests.edge.accounts.killed_edge HOME [URL]``.

It runs calls of a prepaid tenant without end, some at a time, and prints a line for each that has ended: what
a caller knows who has got the whole answer.
"""

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
from edge.accounts.metering import Metering, Work
from edge.models import load_catalogue
from edge.models.served import ServedModel
from edge.settings import EdgeSettings
from edge.store import open_stores
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


async def calls(metering: Metering, served: ServedModel) -> None:
    while True:
        async with metering.call(Work(KEY, served, (ORDER,), "audio/speech", "yto-01")) as stream:
            _ = [event async for event in stream]
        os.write(1, b"answered\n")
        await anyio.sleep(random.random() / 100)


async def main(home: Path, url: str | None) -> None:
    model = load_catalogue().resolve("kokoro-82m")
    served = cast("ServedModel", SimpleNamespace(model=model, worker=Worker(), id="kokoro-82m"))
    settings = EdgeSettings(home=home)
    async with (
        open_stores(home, url) as stores,
        open_books(stores, settings) as books,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(AT_A_TIME):
            tasks.start_soon(calls, books.metering, served)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
