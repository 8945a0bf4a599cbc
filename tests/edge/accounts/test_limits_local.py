import pytest

from edge.accounts import Limits
from edge.accounts import limits_local as module
from edge.accounts.limits import Limit, Subject, Use
from edge.accounts.limits_local import LocalLimits


class Clock:
    now = 120.0

    def __call__(self) -> float:
        return self.now


def key(name: str = "a", **limits: int) -> Subject:
    return Subject("key", name, "t", Limits(**limits))


def test_exactly_the_limit_is_admitted_until_the_minute_ends() -> None:
    clock = Clock()
    limits = LocalLimits(now=clock)
    clock.now = 179.0
    subjects = [key(requests_per_minute=3)]
    verdicts = [limits.admit(subjects) for _ in range(5)]
    assert [verdict.exceeded is None for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.uses[0].requests for verdict in verdicts] == [1, 2, 3, 3, 3]
    assert verdicts[-1].retry_after == 1
    assert verdicts[-1].reset == 180
    clock.now = 180.0
    verdict = limits.admit(subjects)
    assert verdict.exceeded is None
    assert verdict.reset == 240


def test_a_request_that_one_limit_refuses_counts_against_none() -> None:
    limits = LocalLimits(now=Clock())
    own, tenant = key(requests_per_minute=10), Subject("tenant", "t", "t", Limits(requests_per_minute=1))
    assert limits.admit([own, tenant]).exceeded is None
    assert limits.admit([own, tenant]).exceeded == (tenant, Limit.REQUESTS)
    assert limits.look([own, tenant]).uses == (Use(requests=1), Use(requests=1))


def test_looking_counts_nothing() -> None:
    limits = LocalLimits(now=Clock())
    subjects = [key(requests_per_minute=1)]
    assert limits.look(subjects).uses == limits.look(subjects).uses == (Use(),)


def test_a_slot_is_free_again_when_a_request_ends() -> None:
    clock = Clock()
    limits = LocalLimits(now=clock)
    subjects = [key(concurrent_requests=1)]
    first = limits.admit(subjects)
    clock.now += 600
    assert limits.admit(subjects).exceeded == (subjects[0], Limit.CONCURRENT), "it still runs, minutes later"
    limits.leave(subjects, first.window, reserved_tokens=0, used_tokens=0)
    assert limits.admit(subjects).exceeded is None


def test_tokens_are_settled_in_the_minute_they_were_counted_in() -> None:
    limits = LocalLimits(now=Clock())
    subjects = [key(tokens_per_minute=100)]
    verdict = limits.admit(subjects, tokens=90)
    assert limits.admit(subjects, tokens=20).exceeded == (subjects[0], Limit.TOKENS)
    limits.leave(subjects, verdict.window, reserved_tokens=90, used_tokens=30)
    assert limits.look(subjects).uses[0].tokens == 30
    assert limits.admit(subjects, tokens=70).exceeded is None


def test_tokens_beyond_those_counted_weigh_on_the_minute_they_end_in_and_unused_ones_do_not() -> None:
    clock = Clock()
    limits = LocalLimits(now=clock)
    subjects = [key(tokens_per_minute=100)]
    first, second = limits.admit(subjects, tokens=10), limits.admit(subjects, tokens=50)
    clock.now += 60
    limits.leave(subjects, first.window, reserved_tokens=10, used_tokens=45)
    limits.leave(subjects, second.window, reserved_tokens=50, used_tokens=1)
    assert limits.look(subjects).uses[0].tokens == 35


def test_what_counts_as_one_request_above_the_limit_is_settled_from_the_limit() -> None:
    limits = LocalLimits(now=Clock())
    subjects = [key(tokens_per_minute=100)]
    verdict = limits.admit(subjects, tokens=5000)
    assert verdict.uses[0].tokens == 100
    limits.leave(subjects, verdict.window, reserved_tokens=5000, used_tokens=40)
    assert limits.look(subjects).uses[0].tokens == 40


def test_a_flood_of_addresses_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ADDRESSES", 10)
    limits = LocalLimits(now=Clock())

    def address(number: int) -> list[Subject]:
        return [Subject("address", str(number), str(number), Limits(requests_per_minute=5))]

    verdicts = [limits.admit(address(number)) for number in range(100)]
    assert len(limits._counts) == 11
    assert verdicts[9].exceeded is None
    assert verdicts[-1].exceeded is not None, "all others share one count"
    assert limits.admit([key(requests_per_minute=1)]).exceeded is None, "keys have counts of their own"


def test_a_request_from_before_there_was_a_limit_frees_no_slot() -> None:
    limits = LocalLimits(now=Clock())
    before, now = [key()], [key(concurrent_requests=1)]
    first = limits.admit(before)
    assert limits.admit(now).exceeded is None
    limits.leave(before, first.window, reserved_tokens=0, used_tokens=0)
    assert limits.admit(now).exceeded == (now[0], Limit.CONCURRENT)
