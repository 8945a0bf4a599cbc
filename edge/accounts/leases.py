"""What an edge may spend of a tenant's credits without asking anybody."""

from dataclasses import dataclass

from edge.store import LeaseRow


@dataclass(slots=True)
class Lease:
    """Credits held here, in micro-units: ``granted`` by the fleet, ``settled`` by calls that have ended,
    ``reserved`` for calls under way. Times are those of a monotonic clock, in seconds.
    """

    id: str
    tenant_id: str
    granted: int
    settled: int
    good_until: float
    used_at: float
    reserved: int = 0

    @property
    def free(self) -> int:
        return self.granted - self.settled - self.reserved

    def covers(self, micro: int, now: float) -> bool:
        """Whether *micro* may be reserved now."""
        return now < self.good_until and micro <= self.free

    def reserve(self, micro: int, now: float) -> None:
        self.reserved += micro
        self.used_at = now

    def settle(self, reserved: int, charged: int) -> None:
        """Take *charged* for a call that had *reserved* that much."""
        self.reserved -= reserved
        self.settled += charged

    def update(self, row: LeaseRow, good_until: float) -> None:
        """Take in what the fleet granted."""
        self.granted = row.granted_micro
        self.good_until = good_until


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
