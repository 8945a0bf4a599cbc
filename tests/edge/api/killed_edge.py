"""An edge that is killed between the settlement of a call and its answer.

``python -m tests.edge.api.killed_edge ORDER``, where the order is JSON: the ``home`` of the edge, its
``settings``, the ``requests`` to send it, each with a path, headers and a body, and whether their usage has
``arrived`` where it is counted by then. It prints a line once all that it was asked for is settled.
"""

import functools
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from edge import app
from edge.accounts.idempotency import Idempotency
from edge.store import OutboxStore, Stores
from tests.edge.api.conftest import open_edge

LEASE_SECONDS = 2.0
"""How long claims hold: that of the product makes a test wait."""


class Killed(Idempotency):
    """Waits until *calls* are to be kept, and keeps none."""

    def __init__(self, stores: Stores, *, calls: int, arrived: bool, **options: Any) -> None:
        super().__init__(stores, **options)
        self._outbox = OutboxStore(stores.local)
        self._calls = calls
        self._arrived = arrived

    async def keep(self, *_: object, **__: object) -> None:
        self._calls -= 1
        while self._calls or (self._arrived and await self._outbox.size()):
            await anyio.sleep(0.02)
        os.write(1, b"settled\n")
        os.kill(os.getpid(), signal.SIGKILL)


def main(order: dict[str, Any]) -> None:
    requests = order["requests"]
    killed = functools.partial(
        Killed, calls=len(requests), arrived=order["arrived"], lease_seconds=LEASE_SECONDS
    )
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as threads:
        patch.setattr(app, "Idempotency", killed)
        with open_edge(Path(order["home"]), **order["settings"]) as edge:
            for path, headers, body in requests:
                threads.submit(edge.client.post, path, headers=headers, json=body)
            threads.shutdown()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
