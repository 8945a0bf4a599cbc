import pytest

from edge.engines.base import Cancelled, Job
from edge.workers.messages import Embed


def job() -> Job:
    return Job(Embed(["text"]), lambda event: None, lambda error: None)


def test_a_caller_who_leaves_stops_what_runs() -> None:
    stopped: list[str] = []
    left = job()
    left.on_cancel(lambda: stopped.append("first step"))
    left.on_cancel(lambda: stopped.append("second step"))
    left.check()
    assert stopped == []
    left.cancel()
    assert stopped == ["second step"]
    with pytest.raises(Cancelled):
        left.check()


def test_what_starts_after_the_caller_left_is_stopped_at_once() -> None:
    stopped: list[str] = []
    left = job()
    left.cancel()
    left.on_cancel(lambda: stopped.append("late step"))
    assert stopped == ["late step"]
