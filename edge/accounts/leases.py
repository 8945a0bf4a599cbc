"""What an edge may spend of a tenant's credits without asking anybody."""

from collections.abc import Callable
from dataclasses import dataclass

from edge.store import Cut, LeaseRow


@dataclass(slots=True, eq=False)
class Lease:
    """Credits held here, in micro-units: ``granted`` by the fleet, ``settled`` by calls that have ended,
    ``reserved`` for calls under way. Times are those of a monotonic clock, in seconds.

    ``moves`` is how often the fleet had changed ``granted``. A ``cut`` is on its way to the fleet, or nobody
    knows whether it has arrived. ``trimmed`` tells that since its last use it has no more than it should.
    ``unwritten`` counts the calls that have settled here and not on the disk.
    """

    id: str
    tenant_id: str
    granted: int
    settled: int
    good_until: float
    used_at: float
    reserved: int = 0
    moves: int = 0
    cut: Cut | None = None
    trimmed: bool = False
    unwritten: int = 0

    @property
    def free(self) -> int:
        usable = self.granted if self.cut is None else min(self.granted, self.cut.granted_micro)
        return usable - self.settled - self.reserved

    @property
    def in_use(self) -> int:
        return self.settled + self.reserved

    def covers(self, micro: int, now: float) -> bool:
        """Whether *micro* may be reserved now."""
        return now < self.good_until and micro <= self.free

    def reserve(self, micro: int, now: float) -> None:
        self.reserved += micro
        self.used_at = now
        self.trimmed = False

    def settle(self, reserved: int, charged: int) -> None:
        """Take *charged* for a call that had *reserved* that much."""
        self.reserved -= reserved
        self.settled += charged

    def note_written(self) -> None:
        """Take note that one of the ``unwritten`` calls is on the disk, or never will be."""
        self.unwritten -= 1

    def lower(self, granted: int, *, close: bool = False) -> None:
        """Spend no more than *granted* from now on; the fleet is to be told. An earlier cut that it has not
        answered goes first."""
        if self.cut is None:
            self.cut = Cut(self.id, self.tenant_id, self.moves, granted, close)

    def update(self, row: LeaseRow, good_until: float = 0.0) -> None:
        """Take in what the fleet says, unless something later is known."""
        self.good_until = max(self.good_until, good_until)
        if row.moves > self.moves:
            self.trimmed = self.trimmed and row.granted_micro <= self.granted
            self.moves, self.granted, self.cut = row.moves, row.granted_micro, None
        elif row.moves == self.moves and self.cut is None:
            self.granted = row.granted_micro


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was set aside for one call; ``lease`` is None where nothing has to be."""

    lease: Lease | None = None
    micro: int = 0

    @property
    def lease_id(self) -> str | None:
        return self.lease.id if self.lease is not None else None

    def settle(self, cost: int) -> int:
        """Take *cost*, at most what was set aside, and return what was taken; the rest is free again."""
        if self.lease is None:
            return cost
        charged = min(cost, self.micro)
        self.lease.settle(self.micro, charged)
        return charged

    def written(self) -> Callable[[], None] | None:
        """Have the lease know that its call is on its way to the disk, until what is returned is called."""
        if (lease := self.lease) is None:
            return None
        lease.unwritten += 1
        return lease.note_written
