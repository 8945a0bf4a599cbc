"""Leases at rest: credits that have left a balance for an edge to spend."""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store import portions
from edge.store.credits import add_to_balance, add_to_balances, lock_balances
from edge.store.database import Database
from edge.store.tables.credits import leases

EXPIRED_AT_ONCE = 500
"""Leases that one transaction closes."""

FORGOTTEN_AT_ONCE = 1_000
"""Closed leases that one transaction deletes."""


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """What an edge may spend, in micro-units; times in RFC 3339. ``moves`` counts the changes of
    ``granted_micro``: of two states of a lease the one with more is the later one."""

    id: str
    tenant_id: str
    holder: str
    granted_micro: int
    settled_micro: int
    spent_micro: int
    opened_at: str
    expires_at: str
    closed_at: str | None = None
    moves: int = 0
    recalled_at: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What an edge asks for: at least ``need_micro``, up to ``wish_micro`` while the tenant has plenty."""

    tenant_id: str
    holder: str
    need_micro: int
    wish_micro: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What another edge holds of a tenant's credits and has not spent."""

    lease_id: str
    left_micro: int
    recalled_at: str | None
    """When that edge was asked for what it does not need; None if it has answered, or nobody has asked."""


@dataclass(frozen=True, slots=True)
class Short:
    """A balance that has less than was needed."""

    balance_micro: int
    elsewhere: tuple[Elsewhere, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """That a lease is to go down to ``granted_micro``, and to end if ``close`` and the ledger has all of it.

    It counts only while the lease has had so many ``moves``: done once it cannot be done again, whatever else
    has happened meanwhile.
    """

    lease_id: str
    tenant_id: str
    moves: int
    granted_micro: int
    close: bool = False


LEASE = tuple(leases.c[name] for name in LeaseRow.__slots__)


class LeaseStore:
    """Moves credits between balances and leases. Every method raises StoreError when the database fails: what
    a transaction that did not answer in time was to do may be done all the same.

    A tenant has one open lease at each edge that holds credits of his.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def draw(self, wish: Wish, *, now: str, expires_at: str) -> LeaseRow | Short:
        """Move credits from the balance to the holder's lease of the tenant, and return it."""

        async def work(connection: AsyncConnection) -> LeaseRow | Short:
            balance = (await connection.run_sync(lock_balances, [wish.tenant_id], now))[wish.tenant_id]
            if balance < wish.need_micro:
                return Short(balance, await _elsewhere(connection, wish, now))
            amount = portions.drawn(balance, need=wish.need_micro, wish=wish.wish_micro)
            await connection.run_sync(add_to_balance, wish.tenant_id, -amount, now)
            own = (leases.c.tenant_id == wish.tenant_id) & (leases.c.holder == wish.holder)
            held = await connection.run_sync(locked, own)
            if held:
                row = replace(grown(held[0], amount), expires_at=expires_at)
                await connection.run_sync(write_grown, [row])
            else:
                row = opened(wish.tenant_id, wish.holder, amount, now, expires_at)
                await connection.execute(insert(leases).values(values(row)))
            return row

        return await self._database.write(work)

    async def cut(self, cuts: Sequence[Cut], now: str) -> Mapping[str, LeaseRow]:
        """Return to the balances what *cuts* take from leases. The leases come back by their ids as they are
        now, cut or not, without those that are closed. A lease that was cut is not recalled any more.
        """

        async def work(connection: AsyncConnection) -> Mapping[str, LeaseRow]:
            await connection.run_sync(lock_balances, {cut.tenant_id for cut in cuts}, now)
            wanted = {cut.lease_id: cut for cut in cuts}
            before = await connection.run_sync(locked, leases.c.id.in_(wanted))
            after = [_cut(row, wanted[row.id], now) for row in before]
            freed: Counter[str] = Counter()
            for old, new in zip(before, after, strict=True):
                freed[old.tenant_id] += old.granted_micro - new.granted_micro
            await connection.run_sync(add_to_balances, freed, now)
            await connection.run_sync(
                _write_cut, [new for old, new in zip(before, after, strict=True) if new is not old]
            )
            return {row.id: row for row in after if row.closed_at is None}

        return await self._database.write(work)

    async def renew(self, ids: Sequence[str], expires_at: str) -> Mapping[str, LeaseRow]:
        """Put off when leases expire; return by their ids those that are still open."""

        async def work(connection: AsyncConnection) -> Mapping[str, LeaseRow]:
            held = await connection.run_sync(locked, leases.c.id.in_(ids))
            found = {row.id: replace(row, expires_at=expires_at) for row in held}
            await connection.execute(
                update(leases).where(leases.c.id.in_(found)).values(expires_at=expires_at)
            )
            return found

        return await self._database.write(work)

    async def recall(self, ids: Sequence[str], now: str) -> None:
        """Ask whoever holds these leases to give up what he does not need of them."""

        async def work(connection: AsyncConnection) -> None:
            held = await connection.run_sync(locked, leases.c.id.in_(ids) & leases.c.recalled_at.is_(None))
            marked = update(leases).where(leases.c.id.in_([row.id for row in held]))
            await connection.execute(marked.values(recalled_at=now))

        await self._database.write(work)

    async def recalled(self, holder: str) -> Sequence[LeaseRow]:
        """Return the open leases of *holder* that others have asked for."""
        statement = select(*LEASE).where(
            leases.c.holder == holder, leases.c.recalled_at.is_not(None), leases.c.closed_at.is_(None)
        )

        async def rows(connection: AsyncConnection) -> list[LeaseRow]:
            return [LeaseRow(*row) for row in await connection.execute(statement)]

        return await self._database.read(rows)

    async def spent(self, lease_id: str) -> int | None:
        """Return what the ledger has of an open lease, in micro-units."""
        statement = select(leases.c.spent_micro).where(leases.c.id == lease_id, leases.c.closed_at.is_(None))

        async def found(connection: AsyncConnection) -> int | None:
            return (await connection.execute(statement)).scalar_one_or_none()

        return await self._database.read(found)

    async def expire(self, *, before: str, now: str) -> int:
        """Close leases that expired *before* that time, some at a time; return how many. What their holders
        still report later is taken from the balance.
        """
        overdue = leases.c.closed_at.is_(None) & (leases.c.expires_at < before)
        due = select(leases.c.id, leases.c.tenant_id).where(overdue).order_by(leases.c.expires_at)

        async def work(connection: AsyncConnection) -> int:
            found = (await connection.execute(due.limit(EXPIRED_AT_ONCE))).all()
            await connection.run_sync(lock_balances, {row.tenant_id for row in found}, now)
            ids = [row.id for row in found]
            rows = await connection.run_sync(locked, leases.c.id.in_(ids) & overdue)
            left: Counter[str] = Counter()
            for row in rows:
                left[row.tenant_id] += row.granted_micro - row.spent_micro
            await connection.run_sync(add_to_balances, left, now)
            closed = update(leases).where(leases.c.id.in_([row.id for row in rows]))
            await connection.execute(closed.values(closed_at=now, recalled_at=None))
            return len(rows)

        return await self._database.write(work)

    async def forget_closed(self, before: str) -> int:
        """Delete leases that were closed *before* that time, some at a time; return how many. The ledger
        explains them, and what is still reported of one is taken from the balance, as of any that is closed.
        """
        old = select(leases.c.id).where(leases.c.closed_at < before).limit(FORGOTTEN_AT_ONCE)
        statement = delete(leases).where(leases.c.id.in_(old))
        result = await self._database.write(lambda connection: connection.execute(statement))
        return int(result.rowcount)


def opened(tenant_id: str, holder: str, micro: int, now: str, expires_at: str) -> LeaseRow:
    """Return a new lease."""
    return LeaseRow(f"lease_{secrets.token_hex(12)}", tenant_id, holder, micro, 0, 0, now, expires_at)


def grown(row: LeaseRow, micro: int) -> LeaseRow:
    """Return a lease to which *micro* was added."""
    return replace(row, granted_micro=row.granted_micro + micro, moves=row.moves + 1)


def _cut(row: LeaseRow, cut: Cut, now: str) -> LeaseRow:
    if row.moves != cut.moves:
        return row
    granted = max(cut.granted_micro, row.spent_micro)
    return replace(
        row,
        granted_micro=granted,
        moves=row.moves + 1,
        recalled_at=None,
        closed_at=now if cut.close and granted == row.spent_micro else None,
    )


def values(row: LeaseRow) -> dict[str, object]:
    """Return the columns of a lease."""
    return {name: getattr(row, name) for name in row.__slots__}


def locked(connection: Connection, which: ColumnElement[bool]) -> list[LeaseRow]:
    """Return the open leases that *which* tells, in the order of their ids, and keep others from changing
    them."""
    statement = select(*LEASE).where(which, leases.c.closed_at.is_(None)).order_by(leases.c.id)
    return [LeaseRow(*row) for row in connection.execute(statement.with_for_update())]


def write_grown(connection: Connection, rows: Iterable[LeaseRow]) -> None:
    """Write what leases hold and when they expire."""
    _write(connection, rows, ("granted_micro", "moves", "expires_at"))


def _write_cut(connection: Connection, rows: Iterable[LeaseRow]) -> None:
    _write(connection, rows, ("granted_micro", "moves", "recalled_at", "closed_at"))


def _write(connection: Connection, rows: Iterable[LeaseRow], names: Sequence[str]) -> None:
    new = [{f"new_{name}": getattr(row, name) for name in (*names, "id")} for row in rows]
    if new:
        statement = update(leases).where(leases.c.id == bindparam("new_id"))
        connection.execute(statement.values({name: bindparam(f"new_{name}") for name in names}), new)


async def _elsewhere(connection: AsyncConnection, wish: Wish, now: str) -> tuple[Elsewhere, ...]:
    left = leases.c.granted_micro - leases.c.spent_micro
    statement = select(leases.c.id, left, leases.c.recalled_at).where(
        leases.c.tenant_id == wish.tenant_id,
        leases.c.closed_at.is_(None),
        leases.c.holder != wish.holder,
        leases.c.expires_at > now,
        left > 0,
    )
    return tuple(Elsewhere(*row) for row in await connection.execute(statement))
