"""A client that leaves frees the worker: nothing goes on computing for nobody."""

import time
from collections.abc import Callable

import httpx
import psutil
import pytest

from tests.e2e.events import ENDLESS, events
from tests.e2e.grids import Grid

COMPLETIONS = "/v1/completions"
SHORT = ENDLESS | {"max_tokens": 1}
IDLE_SHARE = 0.2
"""Of a core; a worker that still generates takes all of one."""


def leave_a_stream(http: httpx.Client) -> None:
    with http.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True}) as answer:
        next(events(answer))


def leave_a_stream_of_choices(http: httpx.Client) -> None:
    with http.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True, "n": 4}) as answer:
        next(events(answer))


def leave_before_the_answer(http: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post(COMPLETIONS, json=ENDLESS, timeout=1)


def leave_a_long_prompt(http: httpx.Client) -> None:
    body = ENDLESS | {"prompt": ["word " * 8000] * 8}
    with pytest.raises(httpx.ReadTimeout):
        http.post(COMPLETIONS, json=body, timeout=1)


@pytest.mark.parametrize(
    "leave", [leave_a_stream, leave_a_stream_of_choices, leave_before_the_answer, leave_a_long_prompt]
)
def test_the_worker_is_free_again(
    grid: Grid, http: httpx.Client, leave: Callable[[httpx.Client], None], measured: Callable[[str], None]
) -> None:
    worker = grid.worker("yto-01")

    leave(http)

    left = time.monotonic()
    assert http.post(COMPLETIONS, json=SHORT).status_code == 200
    next_answer_seconds = time.monotonic() - left
    before, started = sum(worker.cpu_times()[:2]), time.monotonic()
    time.sleep(1)
    share = (sum(worker.cpu_times()[:2]) - before) / (time.monotonic() - started)
    measured(f"{leave.__name__}: the next answer took {next_answer_seconds:.2f} s")
    assert share < IDLE_SHARE
    assert next_answer_seconds < 20


def test_one_who_leaves_the_queue_is_never_served(grid: Grid, http: httpx.Client) -> None:
    with http.stream("POST", COMPLETIONS, json=ENDLESS | {"stream": True}) as first:
        received = events(first)
        next(received)
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                http.post(COMPLETIONS, json=ENDLESS, timeout=0.5)
        next(received)

    started = time.monotonic()
    assert http.post(COMPLETIONS, json=SHORT).status_code == 200
    assert time.monotonic() - started < 20


TALE = {"model": "kokoro-82m", "voice": "af_bella", "input": "Once upon a time. " * 200}


def leave_a_streamed_speech(http: httpx.Client) -> None:
    with http.stream("POST", "/v1/audio/speech", json=TALE | {"stream": True}) as answer:
        next(answer.iter_bytes())


def leave_before_the_speech(http: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/audio/speech", json=TALE, timeout=2)


@pytest.mark.parametrize("leave", [leave_a_streamed_speech, leave_before_the_speech])
def test_the_speaker_is_free_again(
    http: httpx.Client, leave: Callable[[httpx.Client], None], measured: Callable[[str], None]
) -> None:
    leave(http)

    started = time.monotonic()
    again = http.post("/v1/audio/speech", json=TALE | {"input": "Yes."})
    assert again.status_code == 200
    next_answer_seconds = time.monotonic() - started
    measured(f"{leave.__name__}: the next answer took {next_answer_seconds:.2f} s")
    assert next_answer_seconds < 30


def test_nothing_is_kept_of_those_who_left(grid: Grid, http: httpx.Client, edge_url: str) -> None:
    def come_and_go() -> None:
        with httpx.Client(headers=http.headers, base_url=edge_url) as other:
            leave_a_stream(other)
            assert other.post(COMPLETIONS, json={}).status_code == 400

    edge = psutil.Process(grid.edge_pid("yto-01"))
    come_and_go()
    before = edge.num_fds()
    for _ in range(20):
        come_and_go()

    deadline = time.monotonic() + 20
    while edge.num_fds() > before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
