from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.llm.pace import Pace

TARGET = 0.2
LARGEST = 512


class Machine:
    """Takes *token_seconds* for a prompt token and *row_seconds* for each of *rows* streams, with noise."""

    def __init__(
        self, *, token_seconds: float, row_seconds: float, rows: int, noise: float, seed: int
    ) -> None:
        self.token_seconds = token_seconds
        self.row_seconds = row_seconds
        self.rows = rows
        self._noise = noise
        self._random = np.random.default_rng(seed)

    def seconds(self, prefill_tokens: int) -> float:
        quiet = self.rows * self.row_seconds + prefill_tokens * self.token_seconds
        return quiet * float(1 + self._noise * self._random.uniform(-1, 1))

    @property
    def least(self) -> float:
        """A step that takes the fewest prompt tokens."""
        return self.rows * self.row_seconds + Pace.SMALLEST * self.token_seconds

    @property
    def most(self) -> float:
        return self.rows * self.row_seconds + LARGEST * self.token_seconds


def run(
    pace: Pace, machine: Machine, steps: int, prompt: Callable[[int], bool] = lambda step: True
) -> list[float]:
    """Return how long each step took whose number *prompt* takes for one with prompts in it."""
    seconds = []
    for step in range(steps):
        budget = pace.budget(decoding=machine.rows > 0) if prompt(step) else 0
        assert budget == 0 or Pace.SMALLEST <= budget <= LARGEST
        took = machine.seconds(budget)
        pace.note(took, decoding=machine.rows, prefill_tokens=budget)
        if budget:
            seconds.append(took)
    return seconds


machines = st.builds(
    Machine,
    token_seconds=st.floats(20e-6, 20e-3),
    row_seconds=st.floats(0.5e-3, 15e-3),
    rows=st.integers(1, 16),
    noise=st.floats(0, 0.2),
    seed=st.integers(0, 1000),
)


@given(machines)
def test_steps_with_prompts_settle_at_the_target(machine: Machine) -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    run(pace, machine, 20, lambda step: False)  # streams alone
    seconds = run(pace, machine, 60)[20:]
    assert np.mean(seconds) <= max(TARGET, machine.least) * 1.1
    assert max(seconds) <= max(TARGET, machine.least) * 1.6


@given(machines)
def test_they_settle_too_when_no_step_is_without_prompts(machine: Machine) -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    seconds = run(pace, machine, 60)[20:]
    assert np.mean(seconds) <= max(TARGET, machine.least) * 1.1


@given(machines)
def test_room_under_the_target_is_used(machine: Machine) -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    run(pace, machine, 20, lambda step: False)
    seconds = run(pace, machine, 60)[20:]
    room = TARGET - machine.rows * machine.row_seconds
    used = np.mean(seconds) - machine.rows * machine.row_seconds
    assert used >= 0.6 * min(room, LARGEST * machine.token_seconds) - 0.2 * TARGET or machine.most < TARGET


@given(machines)
def test_a_machine_that_slows_down_fivefold_is_noticed_within_some_steps(machine: Machine) -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    run(pace, machine, 10, lambda step: step % 2 == 0)
    run(pace, machine, 40)
    machine.token_seconds *= 5
    machine.row_seconds *= 5
    seconds = run(pace, machine, 80)
    assert np.mean(seconds[20:]) <= max(TARGET, machine.least) * 1.15


@given(machines)
def test_streams_that_end_leave_their_time_to_prompts(machine: Machine) -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    run(pace, machine, 40, lambda step: step % 2 == 0)
    before = pace.budget(decoding=True)
    machine.rows = 1
    run(pace, machine, 60, lambda step: step % 2 == 0)
    assert pace.budget(decoding=True) >= before * 0.5
    assert np.mean(run(pace, machine, 20)) <= max(TARGET, machine.least) * 1.15


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 16), st.integers(0, 600)), max_size=40),
    st.integers(1, 600),
)
def test_no_history_starves_prompts_or_makes_a_step_too_large(
    notes: list[tuple[float, int, int]], largest: int
) -> None:
    pace = Pace(target_seconds=TARGET, largest=largest)
    for seconds, decoding, prefill_tokens in notes:
        pace.note(seconds, decoding=decoding, prefill_tokens=prefill_tokens)
        assert min(Pace.SMALLEST, largest) <= pace.budget(decoding=True) <= max(Pace.SMALLEST, largest)
        assert pace.budget(decoding=False) == largest


def test_without_streams_a_step_is_as_large_as_it_may_be() -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    pace.note(10.0, decoding=0, prefill_tokens=LARGEST)
    assert pace.budget(decoding=False) == LARGEST
    assert pace.budget(decoding=True) == Pace.SMALLEST


def test_a_machine_that_nobody_knows_yet_is_tried_with_little() -> None:
    assert Pace(target_seconds=TARGET, largest=LARGEST).budget(decoding=True) == 4 * Pace.SMALLEST


def test_the_time_of_streams_is_taken_off() -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    pace.note(0.1, decoding=8, prefill_tokens=0)
    pace.note(0.2, decoding=8, prefill_tokens=100)
    assert pace.budget(decoding=True) == pytest.approx(100, abs=1)


def test_a_step_shorter_than_streams_took_before_still_tells_of_prompts() -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    pace.note(0.19, decoding=8, prefill_tokens=0)
    pace.note(0.1, decoding=1, prefill_tokens=100)  # a quarter of it is taken for the prompt's
    assert pace.budget(decoding=True) == pytest.approx(40, abs=1)


def test_a_few_tokens_tell_nothing_of_prompts() -> None:
    pace = Pace(target_seconds=TARGET, largest=LARGEST)
    pace.note(5.0, decoding=8, prefill_tokens=Pace.SMALLEST - 1)
    assert pace.budget(decoding=True) == 4 * Pace.SMALLEST
