from dataclasses import replace

from edge.accounts.idempotency import Claimed
from edge.api.metered import RepeatableEvents
from tests.edge.api.guarded import WORK

CLAIMED = Claimed("0123456789abcdef" * 4, again=False)


def test_the_calls_of_a_request_are_named_as_they_were_before_a_crash() -> None:
    first, again = RepeatableEvents(CLAIMED), RepeatableEvents(replace(CLAIMED, again=True))
    ids = [first.name(WORK).event_id for _ in range(3)]
    assert ids == ["use_0123456789abcdef01234567", *(f"use_0123456789abcdef01234567_{n}" for n in (2, 3))]
    assert [again.name(WORK).event_id for _ in range(3)] == ids


def test_only_what_is_done_again_may_be_known() -> None:
    for again in (False, True):
        named = RepeatableEvents(replace(CLAIMED, again=again)).name(WORK)
        assert (named.again, named.resumes) == (again, False)
