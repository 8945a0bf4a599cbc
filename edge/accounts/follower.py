"""Keeps an edge's copy of its fleet's tenants and keys up to date."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import structlog

from edge.accounts.freshness import Freshness
from edge.store import NewerDatabase, Snapshot, SnapshotStore, StoreError
from shared.clock import rfc3339

log = structlog.get_logger(__name__)

NOTED_EVERY = timedelta(minutes=1)
"""How often the file is told that nothing has changed: after a restart the copy seems no older than that."""


class Follower:
    """Copies what changes in the fleet's database, and calls *forget* with the digests of the keys.

    A node without a fleet has none: there is nothing to follow.
    """

    def __init__(
        self,
        store: SnapshotStore,
        freshness: Freshness,
        forget: Callable[[Iterable[str] | None], None],
        *,
        poll_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._freshness = freshness
        self._forget = forget
        self._poll_seconds = poll_seconds
        self._now = now
        self._reached: bool | None = None
        self._prepared = False
        self._turn = anyio.Lock()

    async def start(self) -> None:
        """Take up what the file holds, and try to bring it up to date. A fleet out of reach is only logged.

        Raises:
            NewerDatabase: a newer version of Nearedge has changed the fleet's database.
            StoreError: this node's own file failed.
        """
        held = await self._store.held()
        if held is not None and held.confirmed_at is not None:
            self._freshness.confirmed_at = datetime.fromisoformat(held.confirmed_at)
        await self._try()

    async def run(self) -> None:
        """Follow the fleet until cancelled."""
        while True:
            await anyio.sleep(self._poll_seconds)
            with suppress(NewerDatabase):
                await self._try()

    async def catch_up(self) -> None:
        """Copy what has changed up to now.

        Raises:
            StoreError: a database failed.
        """
        async with self._turn:
            if not self._prepared:
                await self._store.prepare()
                self._prepared = True
            asked_at = self._now()
            source, version = await self._store.current()
            held = await self._store.held()
            if held is None or held.source != source or held.version > version:
                held = await self._store.begin(source, version)
                self._freshness.confirmed_at = None
                self._forget(None)
            if held.version < version:
                await self._store.copy(held.version, self._forget)
            await self._note(held, replace(held, version=version, confirmed_at=rfc3339(asked_at)))
            self._freshness.confirmed_at = asked_at

    async def _note(self, held: Snapshot, now: Snapshot) -> None:
        confirmed = held.confirmed_at and datetime.fromisoformat(held.confirmed_at)
        if now.version != held.version or not confirmed or self._now() - confirmed >= NOTED_EVERY:
            await self._store.hold(now)

    async def _try(self) -> None:
        try:
            await self.catch_up()
        except StoreError as error:
            self._prepared = False
            self._tell(reached=False, error=error)
            if isinstance(error, NewerDatabase):
                raise
        else:
            self._tell(reached=True)

    def _tell(self, *, reached: bool, error: StoreError | None = None) -> None:
        if reached == self._reached:
            return
        self._reached = reached
        if error is not None:
            log.warning("fleet out of reach: known keys are served from this node's copy", error=str(error))
        else:
            log.info("fleet reached: this node's copy of its keys is up to date")
