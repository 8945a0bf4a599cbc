"""The scheduler, driven by random callers against a KV cache that remembers every token."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.llm.scheduler import MIN_SHARED, Scheduler, common_prefix, gaps
from edge.engines.llm.step import Forget, Scheduled, Step


class Cache:
    """What lies in each slot: a token at every position. Nothing is ever computed but what follows."""

    def __init__(self, cells: int, slots: int, *, shared: bool) -> None:
        self.cells = cells
        self.shared = shared
        self.slots: list[list[tuple[int, int]]] = [[] for _ in range(slots)]
        self._next_cell = 0

    @property
    def used(self) -> int:
        if self.shared:
            return len({cell for slot in self.slots for cell, _ in slot})
        return sum(map(len, self.slots))

    def carry_out(self, step: Step) -> None:
        for change in step.changes:
            if isinstance(change, Forget):
                del self.slots[change.slot][change.start :]
            else:
                assert self.slots[change.target] == []
                assert change.tokens <= len(self.slots[change.source])
                self.slots[change.target] = self.slots[change.source][: change.tokens]
        for chunk in step.chunks:
            assert chunk.sequence.slot is not None
            slot = self.slots[chunk.sequence.slot]
            assert [token for _, token in slot] == chunk.sequence.tokens[: chunk.start]
            for token in chunk.sequence.tokens[chunk.start : chunk.start + chunk.count]:
                slot.append((self._next_cell, token))
                self._next_cell += 1
        assert self.used <= self.cells


class Grid:
    """A scheduler and the cache that it believes in; every sequence draws the numbers after its prompt."""

    def __init__(self, *, cells: int, slots: int, running: int, idle_cells: int, shared: bool = True) -> None:
        self.cache = Cache(cells, slots, shared=shared)
        self.scheduler = Scheduler(
            cells=cells,
            slots=slots,
            running=running,
            outputs=running + 4,
            idle_cells=idle_cells,
            widest_gap=0 if shared else 2,
        )
        self.alive: list[tuple[Scheduled, int]] = []
        self.ended: list[Scheduled] = []
        self.running = running

    def add(self, prompt: list[int], draws: int, **fields: Any) -> Scheduled:
        sequence = Scheduled(prompt.copy(), **fields)
        self.scheduler.add(sequence)
        self.alive.append((sequence, draws))
        return sequence

    def cancel(self, number: int) -> None:
        sequence, _ = self.alive.pop(number % len(self.alive))
        self.scheduler.remove(sequence)

    def step(self, budget: int) -> Step | None:
        step = self.scheduler.plan(budget)
        if step is None:
            return None
        assert len(self.scheduler.running) <= self.running
        assert step.prefill_tokens <= budget
        slots = [chunk.sequence.slot for chunk in step.chunks]
        assert slots == sorted(set(slots), key=lambda slot: slot or 0)
        assert sum(chunk.outputs for chunk in step.chunks) <= self.running + 4
        decoding = {id(sequence) for sequence in self.scheduler.running if sequence.decoding}
        assert decoding <= {id(chunk.sequence) for chunk in step.chunks}
        for padding in step.paddings:
            assert padding.slot not in slots
        self.cache.carry_out(step)
        for padding in step.paddings:
            assert len(self.cache.slots[padding.slot]) == padding.position
        self.scheduler.commit(step)
        for number, slot in enumerate(self.cache.slots):
            assert self.scheduler.length(number) == len(slot)
        for chunk in step.chunks:
            if chunk.finishes:
                chunk.sequence.outputs_wanted = False
                self._draw(chunk.sequence)
        return step

    def _draw(self, sequence: Scheduled) -> None:
        for index, (other, draws) in enumerate(self.alive):
            if other is sequence:
                drawn = len(sequence.tokens) - sequence.prompt_length
                sequence.tokens.append(1000 + drawn)
                if drawn + 1 >= draws:
                    self.scheduler.remove(sequence)
                    self.ended.append(sequence)
                    del self.alive[index]
                return
        raise AssertionError("a step computed a sequence that is gone")

    def finish(self, budget: int, steps: int) -> None:
        for _ in range(steps):
            if not self.alive:
                return
            assert self.step(budget) is not None, "there is work, and no step"
        raise AssertionError("the work does not end")


prompts = st.lists(st.integers(0, 2), min_size=1, max_size=70)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), prompts, st.integers(1, 12), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 100)),
        st.tuples(st.just("step"), st.integers(1, 64)),
    ),
    max_size=60,
)


@given(actions, st.booleans(), st.integers(1, 4), st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_every_sequence_is_computed_whole_whatever_happens_beside_it(
    actions: list[tuple[Any, ...]], shared: bool, running: int, idle_cells: int
) -> None:
    slots = 2 * running if shared else running
    cells = 96 if shared else 96 * slots
    grid = Grid(cells=cells, slots=slots, running=running, idle_cells=idle_cells, shared=shared)
    for action in actions:
        match action:
            case ("add", prompt, draws, caller, scored):
                grid.add(prompt, draws, caller=caller, outputs_wanted=scored)
            case ("cancel", number) if grid.alive:
                grid.cancel(number)
            case ("step", budget):
                grid.step(budget)
    grid.finish(budget=16, steps=3000)

    assert grid.scheduler.free_cells == cells
    assert not grid.scheduler.running
    assert not grid.scheduler.waiting
    for sequence in grid.ended:
        drawn = sequence.tokens[sequence.prompt_length :]
        assert drawn == list(range(1000, 1000 + len(drawn)))


def test_a_second_turn_computes_only_what_is_new() -> None:
    grid = Grid(cells=1000, slots=4, running=4, idle_cells=1000)
    first = grid.add(list(range(100)), draws=5)
    grid.finish(64, steps=20)
    second = grid.add([*first.tokens, 7, 8, 9], draws=1)
    step = grid.step(64)

    assert step is not None
    assert (second.cached, step.prefill_tokens) == (104, 4)  # the last token drawn was never computed


def test_callers_who_share_a_beginning_wait_for_the_one_that_computes_it() -> None:
    grid = Grid(cells=4000, slots=16, running=8, idle_cells=2000)
    system = list(range(200))
    callers = [grid.add([*system, 500 + number], draws=2, caller=number) for number in range(8)]
    total = 0
    while grid.alive:
        step = grid.step(64)
        assert step is not None
        total += step.prefill_tokens

    assert total == 200 + 8
    assert sorted(caller.cached for caller in callers) == [0, *[200] * 7]


def test_a_beginning_is_not_shared_between_scopes() -> None:
    grid = Grid(cells=1000, slots=4, running=4, idle_cells=1000)
    grid.add(list(range(100)), draws=1, scope="one adapter")
    grid.finish(64, steps=20)
    other = grid.add(list(range(100)), draws=1, scope="another")
    same = grid.add(list(range(100)), draws=1, scope="one adapter")
    grid.finish(64, steps=20)

    assert (other.cached, same.cached) == (0, 99)


def test_a_prompt_that_is_scored_takes_nothing_from_the_cache() -> None:
    grid = Grid(cells=1000, slots=4, running=4, idle_cells=1000)
    grid.add(list(range(100)), draws=1)
    grid.finish(64, steps=20)
    scored = grid.add(list(range(100)), draws=1, outputs_wanted=True)
    grid.finish(64, steps=40)

    assert scored.cached == 0


def test_one_caller_with_many_requests_does_not_hold_up_another() -> None:
    grid = Grid(cells=4000, slots=4, running=2, idle_cells=0)
    for number in range(10):
        grid.add([number], draws=50, caller="many")
    grid.step(64)
    late = grid.add([99], draws=2, caller="one")
    for _ in range(60):
        grid.step(64)
        if late in grid.ended:
            break

    assert late in grid.ended
    assert len(grid.ended) <= 3


def test_running_streams_get_a_token_in_every_step_while_a_long_prompt_is_admitted() -> None:
    grid = Grid(cells=8000, slots=4, running=4, idle_cells=0)
    stream = grid.add([1, 2, 3], draws=200)
    grid.step(32)
    grid.add(list(range(2000)), draws=1)
    steps = 0
    while len(grid.alive) == 2:
        before = len(stream.tokens)
        grid.step(32)
        steps += 1
        assert len(stream.tokens) == before + 1

    assert steps >= 2000 / 32


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    grid = Grid(cells=220, slots=8, running=1, idle_cells=220)
    for name in range(2):
        grid.add([name * 1000 + number for number in range(100)], draws=1)
        grid.finish(64, steps=20)
    grid.add([5000 + number for number in range(100)], draws=1)
    grid.finish(64, steps=20)
    younger = grid.add([1000 + number for number in range(100)], draws=1)
    grid.finish(64, steps=20)
    older = grid.add(list(range(100)), draws=1)
    grid.finish(64, steps=20)

    assert (younger.cached, older.cached) == (99, 0)


def test_after_the_cache_is_lost_every_sequence_begins_again() -> None:
    grid = Grid(cells=1000, slots=4, running=4, idle_cells=1000)
    grid.add(list(range(50)), draws=6)
    grid.add(list(range(70, 130)), draws=6)
    for _ in range(4):
        grid.step(40)
    grid.scheduler.clear()
    for slot in grid.cache.slots:
        slot.clear()
    grid.finish(40, steps=50)

    assert len(grid.ended) == 2


@given(
    st.lists(st.integers(0, 1), max_size=200), st.lists(st.integers(0, 1), max_size=200), st.integers(0, 250)
)
def test_a_common_prefix(first: list[int], second: list[int], limit: int) -> None:
    expected = 0
    for one, other in zip(first[:limit], second[:limit], strict=False):
        if one != other:
            break
        expected += 1
    assert common_prefix(first, second, limit) == expected


@pytest.mark.parametrize(
    ("slots", "missing"),
    [
        ([], []),
        ([3], []),
        ([0, 1, 2], []),
        ([0, 2], [1]),
        ([1, 4, 5], [2, 3]),
        ([0, 4], []),
        ([0, 2, 7], [1]),
    ],
)
def test_small_gaps_are_filled(slots: list[int], missing: list[int]) -> None:
    assert gaps(slots, widest=2) == missing


@given(st.sets(st.integers(0, 15)))
def test_filled_slots_follow_one_another_up_to_wide_gaps(slots: set[int]) -> None:
    filled = sorted([*slots, *gaps(sorted(slots), widest=2)])
    assert len(filled) == len(set(filled))
    assert all(after - before == 1 or after - before > 3 for before, after in pairwise(filled))


def test_a_short_common_beginning_is_not_waited_for() -> None:
    grid = Grid(cells=4000, slots=8, running=4, idle_cells=0)
    beginning = list(range(MIN_SHARED - 1))
    for number in range(2):
        grid.add([*beginning, *range(1000 * number + 1000, 1000 * number + 1200)], draws=1)
    grid.step(16)

    assert len(grid.scheduler.running) == 2
