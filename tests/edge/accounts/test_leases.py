from dataclasses import replace

from edge.accounts.leases import Lease, Reservation
from edge.store import Cut, LeaseRow

ROW = LeaseRow("l", "t", "here", 100, 0, 0, "", "", moves=3)


def lease() -> Lease:
    return Lease("l", "t", granted=100, settled=0, good_until=10, used_at=0, moves=3)


def test_a_call_takes_what_it_costs_of_what_was_set_aside() -> None:
    held = lease()
    held.reserve(60, 5)
    assert (held.free, held.in_use, held.used_at) == (40, 60, 5)
    assert Reservation(held, 60).settle(70) == 60
    assert (held.free, held.in_use) == (40, 60)
    assert held.covers(40, 9.9)
    assert not held.covers(41, 9.9)
    assert not held.covers(40, 10)


def test_what_was_lowered_is_not_spent_until_the_fleet_says_more() -> None:
    held = lease()
    held.lower(30, close=True)
    held.lower(10)
    assert held.cut == Cut("l", "t", 3, 30, close=True)
    assert held.free == 30
    held.update(ROW, 20)
    assert (held.free, held.good_until) == (30, 20)
    held.update(replace(ROW, granted_micro=150, moves=4))
    assert held.free == 150


def test_an_older_state_is_not_believed() -> None:
    held = lease()
    held.update(replace(ROW, granted_micro=70, moves=5))
    held.update(replace(ROW, granted_micro=90, moves=4))
    assert (held.granted, held.moves) == (70, 5)


def test_a_lease_that_has_grown_is_not_trimmed_any_more() -> None:
    held = lease()
    held.trimmed = True
    held.update(replace(ROW, granted_micro=70, moves=4))
    assert held.trimmed
    held.update(replace(ROW, granted_micro=71, moves=5))
    assert not held.trimmed


def test_a_lease_knows_that_a_call_is_on_its_way_to_the_disk() -> None:
    held = lease()
    signed = Reservation(held, 10).written()
    assert Reservation().written() is None
    assert held.unwritten == 1
    assert signed is not None
    signed()
    assert held.unwritten == 0
