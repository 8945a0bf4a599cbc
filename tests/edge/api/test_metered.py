from dataclasses import replace

import pytest

from edge.accounts.idempotency import Claimed
from edge.api.metered import RepeatableEvents
from tests.edge.api.guarded import WORK

CLAIMED = Claimed("0123456789abcdef" * 4, again=False)


def events(*, again: bool = False, outlives: bool = False) -> RepeatableEvents:
    return RepeatableEvents(replace(CLAIMED, again=again), outlives=outlives)


def test_the_calls_of_a_request_are_named_as_they_were_before_a_crash() -> None:
    first, again = events(), events(again=True)
    ids = [first.name(WORK).event_id for _ in range(3)]
    assert ids == ["use_0123456789abcdef01234567", *(f"use_0123456789abcdef01234567_{n}" for n in (2, 3))]
    assert [again.name(WORK).event_id for _ in range(3)] == ids


@pytest.mark.parametrize("again", [False, True])
def test_only_what_is_done_again_may_be_known(again: bool) -> None:
    assert events(again=again).name(WORK).again == again


@pytest.mark.parametrize("outlives", [False, True])
def test_what_outlives_its_clients_is_not_paid_where_it_breaks_off(outlives: bool) -> None:
    assert events(outlives=outlives).name(WORK).resumes == outlives
