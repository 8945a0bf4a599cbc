import itertools
import threading
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.base import Cancelled, Job
from edge.engines.turns import TurnEngine, Turns
from edge.workers.messages import Audio, Speak
from tests.edge.engines.running import JobEnd, run

WAIT_SECONDS = 10


def test_callers_come_in_turn_however_much_each_asks() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "a2", "a3", "b1", "c1"):
        turns.put(item[0], item)
    assert [turns.take() for _ in range(5)] == ["a1", "b1", "c1", "a2", "a3"]
    with pytest.raises(LookupError):
        turns.take()


def test_what_comes_back_waits_behind_all_others() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "a2", "b1"):
        turns.put(item[0], item)
    taken = []
    for _ in range(8):
        item = turns.take()
        taken.append(item)
        turns.put(item[0], item)
    assert taken == ["a1", "b1", "a2", "b1"] * 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3))))
def test_nothing_is_lost_and_nobody_is_passed_over_twice(items: list[tuple[str, int]]) -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for item in items:
        turns.put(item[0], item)
    assert len(turns) == len(items)
    taken = [turns.take() for _ in items]
    assert sorted(taken) == sorted(items)
    for caller in "abc":
        assert [item for item in taken if item[0] == caller] == [item for item in items if item[0] == caller]
        own = [place for place, item in enumerate(taken) if item[0] == caller]
        assert all(later - earlier <= 3 for earlier, later in itertools.pairwise(own))


def test_what_was_removed_does_not_come() -> None:
    turns: Turns[str] = Turns()
    turns.put("a", "a1")
    turns.put("b", "b1")
    assert turns.remove("a", "a1")
    assert not turns.remove("a", "a1")
    assert not turns.remove("b", "b2")
    assert (turns.take(), len(turns)) == ("b1", 0)


class Counting(TurnEngine):
    """Emits as many events as the text has letters, a step for each, and remembers in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.closed: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()

    def steps(self, job: Job) -> Generator[None, None, None]:
        assert isinstance(job.request, Speak)
        text = job.request.text
        try:
            for letter in text:
                self.waiting.set()
                assert self.gate.wait(WAIT_SECONDS)
                if letter == "!":
                    raise ValueError("no")
                self.order.append(letter)
                job.emit(Audio(letter.encode()))
                yield
        finally:
            self.closed.append(text)

    def hold(self) -> None:
        """Stand still within the next step."""
        self.gate.clear()
        self.waiting.clear()


@pytest.fixture
def engine() -> Counting:
    return Counting()


def say(text: str, caller: str = "") -> Speak:
    return Speak(text, "af_bella", caller=caller)


def test_a_short_job_does_not_wait_for_the_whole_of_a_long_one(engine: Counting) -> None:
    engine.hold()
    long = JobEnd(engine, say("a" * 50))
    assert engine.waiting.wait(WAIT_SECONDS)
    short = JobEnd(engine, say("b"))
    engine.gate.set()
    short.wait()
    long.wait()
    assert "".join(engine.order).index("b") <= 2
    assert engine.order.count("a") == 50


def test_a_caller_of_many_jobs_takes_no_more_turns_than_one_of_one(engine: Counting) -> None:
    engine.hold()
    first = JobEnd(engine, say("aaaa", "one"))
    assert engine.waiting.wait(WAIT_SECONDS)
    ends = [JobEnd(engine, say("aaaa", "one")) for _ in range(3)]
    other = JobEnd(engine, say("bbbb", "two"))
    engine.gate.set()
    for end in (first, *ends, other):
        end.wait()
    assert "".join(engine.order)[:9].count("b") == 4


def test_what_fails_ends_alone(engine: Counting) -> None:
    with pytest.raises(ValueError, match="no"):
        run(engine, say("ab!c"))
    assert len(run(engine, say("ab"))) == 2


def test_one_who_leaves_between_two_steps_is_let_go_at_once(engine: Counting) -> None:
    engine.hold()
    runs = JobEnd(engine, say("a"))
    assert engine.waiting.wait(WAIT_SECONDS)
    leaves = JobEnd(engine, say("cc"))
    leaves.job.cancel()
    with pytest.raises(Cancelled):
        leaves.wait()
    engine.gate.set()
    runs.wait()
    assert "c" not in engine.order


def test_one_who_leaves_within_a_step_is_let_go_after_it(engine: Counting) -> None:
    engine.hold()
    leaves = JobEnd(engine, say("aaa"))
    assert engine.waiting.wait(WAIT_SECONDS)
    leaves.job.cancel()
    engine.gate.set()
    with pytest.raises(Cancelled):
        leaves.wait()
    assert engine.order == ["a"]
    assert engine.closed == ["aaa"]


class Resting(TurnEngine):
    """Takes two steps for each job; each waits until it may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Semaphore(0)
        self.done: list[str] = []
        self.rested = threading.Semaphore(0)
        super().__init__()

    def rest(self) -> None:
        self.done.append("rest")
        self.rested.release()
        raise MemoryError  # is no reason to stop working

    def steps(self, job: Job) -> Generator[None, None, None]:
        for _ in range(2):
            assert self.go_on.acquire(timeout=WAIT_SECONDS)
            self.done.append("step")
            yield


def test_an_engine_rests_only_when_nothing_waits() -> None:
    engine = Resting()
    for _ in range(2):
        both = [JobEnd(engine, Speak("a", "b")) for _ in range(2)]
        engine.go_on.release(4)
        for end in both:
            end.wait()
        assert engine.rested.acquire(timeout=WAIT_SECONDS)
    assert engine.done == (["step"] * 4 + ["rest"]) * 2
