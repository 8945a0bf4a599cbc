from edge.accounts.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(failures=3, open_seconds=60, timer=Clock())
    for _ in range(2):
        breaker.fail()
    assert breaker.closed
    breaker.succeed()
    for _ in range(2):
        breaker.fail()
    assert breaker.may_try()
    breaker.fail()
    assert not breaker.closed
    assert not breaker.may_try()


def test_one_try_goes_through_after_a_while_and_closes_it_if_it_succeeds() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, open_seconds=60, timer=clock)
    breaker.fail()
    clock.now = 59.9
    assert not breaker.may_try()
    clock.now = 60
    assert breaker.may_try()
    assert not breaker.may_try(), "a second one at the same time"
    breaker.succeed()
    assert breaker.closed
    assert breaker.may_try()


def test_a_try_that_fails_keeps_it_open_as_long_again() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, open_seconds=60, timer=clock)
    breaker.fail()
    clock.now = 60
    assert breaker.may_try()
    breaker.fail()
    clock.now = 119
    assert not breaker.may_try()
    clock.now = 120
    assert breaker.may_try()
