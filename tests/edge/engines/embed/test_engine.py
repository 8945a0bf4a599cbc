import random
import threading
import time
from typing import Any

import numpy as np
import pytest

from edge.engines.base import Cancelled, InvalidRequest
from edge.engines.embed import EmbedEngine
from edge.engines.embed.encoder import Encoder, Floats
from edge.workers.messages import Embed, Generate, Vectors
from tests.edge.engines.running import JobEnd, run


def vectors_of(job: JobEnd) -> tuple[Floats, Vectors]:
    (event,) = job.wait()
    assert isinstance(event, Vectors)
    return np.frombuffer(event.data, "<f4").reshape(-1, event.dimensions), event


def embed(engine: EmbedEngine, *inputs: str | list[int], **fields: Any) -> tuple[Floats, Vectors]:
    return vectors_of(JobEnd(engine, Embed(list(inputs), **fields)))


def some_texts(count: int, seed: int) -> list[str | list[int]]:
    rng = random.Random(seed)
    words = ["river", "stone", "market", "sunday", "quiet", "engine", "winter", "paper", "garden", "music"]
    return [" ".join(rng.choices(words, k=rng.choice([1, 3, 8, 20, 90]))) for _ in range(count)]


def test_vectors_have_unit_length_and_meaning(engine: EmbedEngine) -> None:
    rows, event = embed(
        engine, "A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose in March."
    )
    assert rows.shape == (3, 384)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    assert rows[0] @ rows[1] > 0.5 > rows[0] @ rows[2]
    assert event.prompt_tokens > 15


def test_the_engine_tells_its_size(engine: EmbedEngine) -> None:
    assert engine.info == {"context_tokens": 512, "dimensions": 384, "parameters": 22_565_376}


def test_many_requests_at_once_get_what_each_gets_alone(engine: EmbedEngine) -> None:
    requests = [some_texts(count, seed) for seed, count in enumerate([1, 30, 1, 2, 17, 1])]
    together = [vectors_of(job)[0] for job in [JobEnd(engine, Embed(inputs)) for inputs in requests]]
    for inputs, rows in zip(requests, together, strict=True):
        assert rows.shape == (len(inputs), 384)
        for text, row in list(zip(inputs, rows, strict=True))[:6]:
            alone, _ = embed(engine, text)
            assert float(alone[0].astype(np.float64) @ row.astype(np.float64)) >= 0.99999


def test_tokens_are_an_input_too(engine: EmbedEngine, encoder: Encoder) -> None:
    tokens = encoder.read("hello world", 0)
    rows, event = embed(engine, tokens, "hello world", tokens)
    assert rows @ rows[1] == pytest.approx(1, abs=1e-5)
    assert event.prompt_tokens == 3 * len(tokens)


def test_dimensions_are_the_first_ones_at_unit_length(engine: EmbedEngine) -> None:
    whole, _ = embed(engine, "a text")
    short, event = embed(engine, "a text", dimensions=64)
    assert (short.shape, event.dimensions) == ((1, 64), 64)
    assert short[0] == pytest.approx(whole[0, :64] / np.linalg.norm(whole[0, :64]), abs=1e-5)
    assert embed(engine, "a text", dimensions=384)[0] == pytest.approx(whole, abs=1e-5)


class Slow:
    """An encoder that computes nothing: a text's vector is its length, and each step waits to be let go."""

    input_tokens = 512
    dimensions = 2
    parameters = 0

    def __init__(self) -> None:
        self.steps: list[list[int]] = []
        self.busy = False
        self._next = threading.Semaphore(0)

    def go(self, steps: int) -> None:
        self._next.release(steps)

    def read(self, item: str | list[int], index: int) -> list[int]:
        if item == "bad":
            raise InvalidRequest(f"input {index} is bad", param="input")
        return [ord(item[0])] * len(item) if isinstance(item, str) else item

    def embed(self, group: list[list[int]]) -> list[Floats]:
        self.busy = True
        assert self._next.acquire(timeout=20)
        self.steps.append([len(tokens) for tokens in group])
        if any(tokens[0] == ord("!") for tokens in group):
            raise RuntimeError("this step fails")
        return [np.array([len(tokens), 0], np.float32) for tokens in group]


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def slow_engine(slow: Slow) -> EmbedEngine:
    return EmbedEngine(slow)  # type: ignore[arg-type]


def settled(condition: Any) -> bool:
    """Wait until *condition* holds."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_a_long_request_does_not_hold_up_a_short_one(slow: Slow, slow_engine: EmbedEngine) -> None:
    long = JobEnd(slow_engine, Embed(["a" * 100] * 2048))
    slow.go(1)
    assert settled(lambda: len(slow.steps) == 1)
    short = JobEnd(slow_engine, Embed(["b" * 5]))
    slow.go(3)
    assert len(vectors_of(short)[0]) == 1
    assert len(slow.steps) <= 4
    long.job.cancel()
    slow.go(1)
    with pytest.raises(Cancelled):
        long.wait()


def test_waiting_requests_share_a_step(slow: Slow, slow_engine: EmbedEngine) -> None:
    first = JobEnd(slow_engine, Embed(["a"]))
    assert settled(lambda: slow.busy)
    others = [JobEnd(slow_engine, Embed(["bb", "cc"])) for _ in range(5)]
    slow.go(2)
    for job in [first, *others]:
        job.wait()
    assert slow.steps == [[1], [2] * 10]


def test_a_caller_who_leaves_is_out_before_the_next_step(slow: Slow, slow_engine: EmbedEngine) -> None:
    jobs = [JobEnd(slow_engine, Embed([[1] * 200] * 4)) for _ in range(2)]
    assert settled(lambda: len(slow_engine._tasks) == 2)
    jobs[0].job.cancel()
    slow.go(1)  # the step that is under way
    with pytest.raises(Cancelled):
        jobs[0].wait()
    slow.go(4)
    vectors_of(jobs[1])
    assert len(slow.steps) <= 5


def test_a_caller_who_left_while_waiting_costs_nothing(slow: Slow, slow_engine: EmbedEngine) -> None:
    first = JobEnd(slow_engine, Embed(["a"]))
    assert settled(lambda: slow.busy)
    second = JobEnd(slow_engine, Embed(["bb"]))
    second.job.cancel()
    slow.go(1)
    first.wait()
    with pytest.raises(Cancelled):
        second.wait()
    assert slow.steps == [[1]]


def test_a_bad_request_leaves_the_others_alone(slow: Slow, slow_engine: EmbedEngine) -> None:
    first = JobEnd(slow_engine, Embed(["a"]))
    assert settled(lambda: slow.busy)
    bad = JobEnd(slow_engine, Embed(["bb", "bb", "bb", "bad"]))
    good = JobEnd(slow_engine, Embed(["ccc"]))
    slow.go(2)
    first.wait()
    with pytest.raises(InvalidRequest, match="input 3"):
        bad.wait()
    assert vectors_of(good)[0].tolist() == [[1, 0]]
    assert slow.steps == [[1], [3]]


def test_a_step_that_fails_ends_only_the_request_at_fault(slow: Slow, slow_engine: EmbedEngine) -> None:
    first = JobEnd(slow_engine, Embed(["a"]))
    assert settled(lambda: slow.busy)
    bad = JobEnd(slow_engine, Embed(["bb", "!", "!", "bb"]))
    good = JobEnd(slow_engine, Embed(["ccc", "dd"]))
    slow.go(10)
    first.wait()
    with pytest.raises(RuntimeError, match="this step fails"):
        bad.wait()
    assert len(vectors_of(good)[0]) == 2
    assert len(vectors_of(JobEnd(slow_engine, Embed(["eee"])))[0]) == 1


@pytest.mark.parametrize("dimensions", [0, 3, 2**31])
def test_dimensions_are_checked_before_anything_is_computed(
    slow: Slow, slow_engine: EmbedEngine, dimensions: int
) -> None:
    with pytest.raises(InvalidRequest, match="at most 2") as caught:
        run(slow_engine, Embed(["a"], dimensions))
    assert caught.value.param == "dimensions"
    assert slow.steps == []


def test_what_is_not_an_embedding_is_refused(slow_engine: EmbedEngine) -> None:
    with pytest.raises(InvalidRequest, match="makes embeddings"):
        run(slow_engine, Generate(prompt="a"))
    with pytest.raises(InvalidRequest, match="nothing"):
        run(slow_engine, Embed([]))


def test_an_answer_tells_how_long_it_waited(slow: Slow, slow_engine: EmbedEngine) -> None:
    first = JobEnd(slow_engine, Embed(["a"]))
    assert settled(lambda: slow.busy)
    second = JobEnd(slow_engine, Embed(["bb"]))
    time.sleep(0.05)
    slow.go(2)
    first.wait()
    _, event = vectors_of(second)
    assert event.queue_ms >= 50
    assert event.inference_ms >= 0


def test_random_requests_and_leavers_leave_nothing_behind(engine: EmbedEngine) -> None:
    rng = random.Random(7)
    jobs = []
    for number in range(60):
        inputs = some_texts(rng.choice([1, 1, 2, 9]), number)
        if rng.random() < 0.2:
            bad: list[str | list[int]] = ["", [-1], [10**9], "word " * 600]
            inputs.insert(rng.randrange(len(inputs) + 1), rng.choice(bad))
        jobs.append(JobEnd(engine, Embed(inputs)))
        if rng.random() < 0.3:
            rng.choice(jobs).job.cancel()
    for job in jobs:
        try:
            rows, _ = vectors_of(job)
            assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
        except (Cancelled, InvalidRequest):
            assert not job.events
    assert settled(lambda: not engine._tasks)
    assert not engine._unread
    assert not len(engine._packer)
