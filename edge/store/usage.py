"""Usage at rest: the fleet's events, and their sums by day."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import anyio.to_thread
from sqlalchemy import Connection, and_, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.credits import lock_balances, spend
from edge.store.database import Database
from edge.store.event_rows import add_events, unknown
from edge.store.sketch import Sketch
from edge.store.tables.usage import usage_days, usage_events
from edge.store.upsert import insert as portable_insert
from edge.store.usage_event import UsageEvent

PRUNED_AT_ONCE = 5_000
"""Old events that one transaction deletes."""


@dataclass(slots=True)
class UsageSum:
    """Calls of one group added up: money in micro-units, times in milliseconds."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    audio_ms: int = 0
    characters: int = 0
    cost_micro: int = 0
    charged_micro: int = 0
    total_ms_sum: float = 0.0
    total_ms: Sketch = field(default_factory=Sketch)
    first_byte_ms: Sketch = field(default_factory=Sketch)

    def add(self, event: UsageEvent) -> None:
        """Count one call. A time to the first byte of zero is that of a call that had none."""
        self.requests += 1
        self.errors += event.status >= 400
        self.prompt_tokens += event.prompt_tokens
        self.cached_tokens += event.cached_tokens
        self.completion_tokens += event.completion_tokens
        self.audio_ms += event.audio_ms
        self.characters += event.characters
        self.cost_micro += event.cost_micro
        self.charged_micro += event.charged_micro
        self.total_ms_sum += event.total_ms
        self.total_ms.add(event.total_ms)
        if event.first_byte_ms:
            self.first_byte_ms.add(event.first_byte_ms)

    def merge(self, other: "UsageSum") -> None:
        """Take in all that *other* counted."""
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.total_ms_sum += other.total_ms_sum
        self.total_ms.merge(other.total_ms)
        self.first_byte_ms.merge(other.first_byte_ms)


_ADDED = (
    *("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens"),
    *("audio_ms", "characters", "cost_micro", "charged_micro"),
)


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """What the calls of a sum have in common; ``day`` is ``YYYY-MM-DD`` in UTC."""

    tenant_id: str
    key_id: str
    day: str
    model: str
    adapter: str
    region: str
    service: str
    path: str

    @classmethod
    def of(cls, event: UsageEvent) -> "UsageGroup":
        return cls(*_shared(event))


_shared = attrgetter(*UsageGroup.__slots__)

UsageRow = tuple[UsageGroup, UsageSum]


class UsageStore:
    """Takes in events and reads sums. Every method raises StoreError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_in(self, events: Sequence[UsageEvent], now: str) -> Sequence[UsageEvent]:
        """Count those of *events* that were not counted yet, and charge what they cost.

        That they are stored, added to their day and charged is one transaction: sent twice, an event counts
        once. Returns those that were dropped, for their ids are those of other events.
        """

        def work(connection: Connection) -> Sequence[UsageEvent]:
            new, dropped = unknown(connection, usage_events, events)
            if new:
                add_events(connection, usage_events, new)
                _charge(connection, new, now)
                _add_to_days(connection, new)
            return dropped

        return await self._database.write_sync(work)

    async def days(
        self, *, start: str, end: str, tenant_id: str, key_id: str | None, limit: int
    ) -> list[UsageRow]:
        """Return up to *limit* sums of the days from *start* to *end*, both included: of one key, or with
        None of all keys of the tenant.
        """
        wanted = (usage_days.c.tenant_id == tenant_id) & usage_days.c.day.between(start, end)
        if key_id is not None:
            wanted &= usage_days.c.key_id == key_id

        statement = _DAYS.where(wanted).order_by(usage_days.c.day).limit(limit)

        async def rows(connection: AsyncConnection) -> Sequence[Sequence[Any]]:
            return (await connection.execute(statement)).all()

        # In a thread: a report of many keys has sketches by the ten thousand, and requests go on meanwhile.
        return await anyio.to_thread.run_sync(_sums, await self._database.read(rows))

    async def prune(self, before: str) -> int:
        """Delete events that ended *before* that time, some at a time; return how many."""
        old = select(usage_events.c.id).where(usage_events.c.at < before).limit(PRUNED_AT_ONCE)
        statement = delete(usage_events).where(usage_events.c.id.in_(old))

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(statement)).rowcount)

        return await self._database.write(work)


def _charge(connection: Connection, events: Iterable[UsageEvent], now: str) -> None:
    charged: Counter[tuple[str, str | None]] = Counter()
    for event in events:
        if event.charged_micro:
            charged[event.tenant_id, event.lease_id] += event.charged_micro
    lock_balances(connection, {tenant_id for tenant_id, _ in charged}, now)
    # By lease, which is the order in which all lock them.
    for (tenant_id, lease_id), micro in sorted(charged.items(), key=lambda item: item[0][1] or ""):
        spend(connection, tenant_id, lease_id, micro, now)


def _add_to_days(connection: Connection, events: Iterable[UsageEvent]) -> None:
    shared: defaultdict[tuple[str, ...], UsageSum] = defaultdict(UsageSum)
    for event in events:
        shared[_shared(event)].add(event)
    sums = {UsageGroup(*fields): total for fields, total in shared.items()}
    groups = sorted(sums, key=str)  # one order, so that no two transactions wait for each other
    blank = [_named(group) | _written(UsageSum()) for group in groups]
    connection.execute(portable_insert(connection, usage_days).on_conflict_do_nothing(), blank)
    for group in groups:
        same = and_(*(usage_days.c[name] == value for name, value in _named(group).items()))
        held = connection.execute(_DAYS.where(same).with_for_update()).all()
        for _, before in _sums(held):
            sums[group].merge(before)
        connection.execute(update(usage_days).where(same).values(_written(sums[group])))


def _named(group: UsageGroup) -> dict[str, object]:
    return {name: getattr(group, name) for name in UsageGroup.__slots__}


def _written(total: UsageSum) -> dict[str, object]:
    return {name: getattr(total, name) for name in (*_ADDED, "total_ms_sum")} | {
        "total_ms": total.total_ms.to_bytes(),
        "first_byte_ms": total.first_byte_ms.to_bytes(),
    }


_DAYS = select(
    *(usage_days.c[name] for name in (*UsageGroup.__slots__, *_ADDED, "total_ms_sum")),
    usage_days.c.total_ms,
    usage_days.c.first_byte_ms,
)


def _sums(rows: Iterable[Sequence[Any]]) -> list[UsageRow]:
    width = len(UsageGroup.__slots__)
    return [
        (
            UsageGroup(*row[:width]),
            UsageSum(*row[width:-2], *map(Sketch.from_bytes, row[-2:])),
        )
        for row in rows
    ]
