import gc
import threading
import time
import weakref

import pytest

from edge.engines import turns
from edge.engines.base import Cancelled, Job
from edge.engines.turns import Pause, Turns, TurnsEngine
from edge.workers.messages import Heard, Transcribe
from tests.edge.engines.running import JobEnd


def order(items: Turns[str], count: int) -> str:
    return " ".join(items.next() for _ in range(count))


def test_callers_take_turns_however_much_one_asks() -> None:
    items: Turns[str] = Turns()
    for name in ("a1", "a2", "a3", "b1"):
        items.add(name[0], name)
    assert order(items, 6) == "a1 b1 a2 b1 a3 b1"
    items.add("c", "c1")
    assert order(items, 3) == "a1 b1 c1"


def test_only_some_of_a_callers_items_take_turns_at_a_time() -> None:
    items: Turns[str] = Turns(open_per_caller=2)
    for name in ("a1", "a2", "a3"):
        items.add("a", name)
    assert order(items, 4) == "a1 a2 a1 a2"
    assert items.remove("a", "a1")
    assert order(items, 4) == "a2 a3 a2 a3"


def test_what_was_taken_out_has_no_turn() -> None:
    items: Turns[str] = Turns()
    items.add("a", "a1")
    assert items
    assert items.remove("a", "a1")
    assert not items
    assert not items.remove("a", "a1")


def test_an_item_can_be_found_and_keeps_its_place() -> None:
    items: Turns[str] = Turns()
    for name in ("a1", "a2", "b1"):
        items.add(name[0], name)
    assert items.find(lambda name: name.endswith("2")) == "a2"
    assert items.find(lambda name: name == "c1") is None
    assert order(items, 3) == "a1 b1 a2"


class Steps(TurnsEngine):
    """Does as many steps as the prompt says and tells of each; ``fail`` fails."""

    def __init__(self, done: list[str]) -> None:
        self._done = done
        super().__init__()

    def caller(self, job: Job) -> str:
        assert isinstance(job.request, Transcribe)
        return job.request.caller

    def run(self, job: Job, pause: Pause) -> None:
        request = job.request
        assert isinstance(request, Transcribe)
        if request.prompt == "fail":
            raise RuntimeError("as asked")
        for step in range(int(request.prompt or "0")):
            time.sleep(0.01)
            self._done.append(request.caller)
            job.emit(Heard(step, 0))
            pause()


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def engine(done: list[str], monkeypatch: pytest.MonkeyPatch) -> Steps:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    return Steps(done)


def ask(engine: Steps, steps: str, caller: str) -> JobEnd:
    return JobEnd(engine, Transcribe(b"", prompt=steps, caller=caller))


def test_a_short_job_does_not_wait_for_a_long_one(engine: Steps, done: list[str]) -> None:
    long = ask(engine, "30", "long")
    while not done:
        time.sleep(0.001)
    assert len(ask(engine, "3", "short").wait()) == 3
    assert len(done) < 20
    assert len(long.wait()) == 30


def test_a_failure_ends_its_own_job_only(engine: Steps) -> None:
    good = ask(engine, "5", "a")
    with pytest.raises(RuntimeError, match="as asked"):
        ask(engine, "fail", "b").wait()
    assert len(good.wait()) == 5


def test_a_caller_who_leaves_ends_his_job_before_its_next_step(engine: Steps, done: list[str]) -> None:
    running, waiting = ask(engine, "1000", "a"), ask(engine, "1000", "b")
    while "b" not in done:
        time.sleep(0.001)
    for job in (running, waiting):
        job.job.cancel()
    for job in (running, waiting):
        with pytest.raises(Cancelled):
            job.wait()
    assert len(done) < 100
    assert len(ask(engine, "2", "a").wait()) == 2


def test_a_caller_who_leaves_does_not_wait_for_the_others_turns(engine: Steps, done: list[str]) -> None:
    callers = [f"caller{number}" for number in range(20)]
    jobs = {caller: ask(engine, "1000", caller) for caller in callers}
    while set(callers) - set(done) or done[-1] != callers[0]:
        time.sleep(0.001)
    before = len(done)
    jobs[callers[0]].job.cancel()
    with pytest.raises(Cancelled):
        jobs[callers[0]].wait()
    assert len(done) - before < 10
    for job in jobs.values():
        job.job.cancel()


@pytest.mark.parametrize("leaves", [False, True])
def test_a_job_that_has_ended_leaves_the_memory(engine: Steps, done: list[str], leaves: bool) -> None:
    ended = threading.Event()
    gc.disable()
    try:
        request = Transcribe(b"", prompt="1000" if leaves else "2", caller="a")
        job = Job(request, lambda _event: None, lambda _error: ended.set())
        left = weakref.ref(job)
        engine.submit(job)
        while not done:
            time.sleep(0.001)
        if leaves:
            job.cancel()
        assert ended.wait(10)
        del job
        deadline = time.monotonic() + 5
        while left() is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        gc.enable()


def test_a_job_that_never_began_ends_at_once(engine: Steps) -> None:
    others = [ask(engine, "20", "same") for _ in range(turns.OPEN_PER_CALLER)]
    late = ask(engine, "20", "same")
    late.job.cancel()
    with pytest.raises(Cancelled):
        late.wait()
    assert late.events == []
    for other in others:
        assert len(other.wait()) == 20


def test_steps_that_cost_nothing_are_no_turns(engine: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 60.0)
    gate = threading.Event()
    seen: list[str] = []

    class Free(Steps):
        def run(self, job: Job, pause: Pause) -> None:
            gate.wait(10)
            for _ in range(3):
                seen.append(self.caller(job))
                pause()

    free = Free(seen)
    jobs = [ask(free, "0", caller) for caller in ("a", "b")]
    gate.set()
    for job in jobs:
        job.wait()
    assert seen == ["a", "a", "a", "b", "b", "b"]


def test_a_turn_may_end_deep_within_the_calls_of_a_library(
    engine: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Deep(Steps):
        def run(self, job: Job, pause: Pause) -> None:
            def key(_item: int) -> int:
                time.sleep(0.005)
                seen.append(self.caller(job))
                pause()
                return 0

            sorted(range(20), key=key)

    deep = Deep(seen)
    first = ask(deep, "0", "a")
    while not seen:
        time.sleep(0.001)
    ask(deep, "0", "b").wait()
    first.wait()
    assert seen.count("a") == seen.count("b") == 20
    assert seen.index("b") < 10


class Resting(Steps):
    """Takes two steps for each job, each once it may; resting fails."""

    def __init__(self, done: list[str]) -> None:
        self.go_on = threading.Semaphore(0)
        self.rested = threading.Semaphore(0)
        super().__init__(done)

    def rest(self) -> None:
        self._done.append("rest")
        self.rested.release()
        raise MemoryError  # is no reason to stop working

    def run(self, job: Job, pause: Pause) -> None:
        for _ in range(2):
            assert self.go_on.acquire(timeout=10)
            self._done.append("step")
            pause()


def test_an_engine_rests_only_when_nothing_waits(done: list[str]) -> None:
    engine = Resting(done)
    for _ in range(2):
        both = [JobEnd(engine, Transcribe(b"", caller=caller)) for caller in "ab"]
        engine.go_on.release(4)
        for end in both:
            end.wait()
        assert engine.rested.acquire(timeout=10)
    assert done == (["step"] * 4 + ["rest"]) * 2
