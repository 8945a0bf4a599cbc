import random

import pytest

from edge.engines.llm.threads import ThreadChoice, ladder

QUIET = {2: 10.0, 1: 16.0}
NOISY = {2: 60.0, 1: 18.0}
"""Milliseconds of a step by threads, on two cores."""


def live(choice: ThreadChoice, times: dict[int, float], steps: int, rows: int = 4) -> float:
    """Return the mean time of *steps* steps."""
    noise = random.Random(steps)
    total = 0.0
    for _ in range(steps):
        took = times[choice.threads] * noise.uniform(0.9, 1.1)
        choice.note(rows, took)
        total += took
    return total / steps


@pytest.mark.parametrize(
    ("threads", "rungs"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 3, 4]), (16, [1, 8, 12, 15, 16])]
)
def test_the_ladder(threads: int, rungs: list[int]) -> None:
    assert ladder(threads) == rungs


def test_on_a_quiet_machine_all_threads_are_used_and_trials_cost_little() -> None:
    choice = ThreadChoice(2)
    assert live(choice, QUIET, 2000) < QUIET[2] * 1.02
    assert choice.threads == 2


def test_beside_a_busy_process_fewer_are_soon_used_and_all_again_after_it() -> None:
    choice = ThreadChoice(2)
    live(choice, QUIET, 500)
    live(choice, NOISY, 80)
    assert choice.threads == 1
    assert live(choice, NOISY, 2000) < NOISY[1] * 1.15
    live(choice, QUIET, 4200)
    assert choice.threads == 2


def test_a_machine_that_was_never_quiet_is_found_out() -> None:
    choice = ThreadChoice(2)
    live(choice, NOISY, 80)
    assert choice.threads == 1


def test_steps_of_changing_size_are_never_compared() -> None:
    choice = ThreadChoice(2)
    for step in range(400):
        choice.note(step % 7, 10.0 * (1 + step % 7))
        assert choice.threads == 2


def test_with_one_thread_there_is_no_choice() -> None:
    choice = ThreadChoice(1)
    live(choice, {1: 5.0}, 100)
    assert choice.threads == 1


def test_single_slow_steps_take_no_thread_away() -> None:
    spikes = random.Random(1)
    choice = ThreadChoice(2)
    for _ in range(4000):
        disturbed = spikes.random() < 0.4
        choice.note(4, QUIET[choice.threads] * (3 if disturbed and choice.threads == 2 else 1))
    fewer = 0
    for _ in range(4000):
        fewer += choice.threads == 1
        disturbed = spikes.random() < 0.4
        choice.note(4, QUIET[choice.threads] * (3 if disturbed and choice.threads == 2 else 1))
    assert fewer < 400
