import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engines.embed.packing import Slot, StepPacker


@dataclass(frozen=True)
class Script:
    """A request that comes before step ``arrives`` and may leave before step ``leaves``."""

    sizes: list[int]
    arrives: int
    leaves: int | None


SCRIPTS = st.lists(
    st.builds(
        Script,
        sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
        arrives=st.integers(0, 20),
        leaves=st.none() | st.integers(0, 30),
    ),
    min_size=1,
    max_size=8,
)


def play(packer: StepPacker[int], scripts: list[Script]) -> list[list[Slot[int]]]:
    """Return every step until all requests have come and nobody waits."""
    steps = []
    for number in itertools.count():
        for request, script in enumerate(scripts):
            if script.arrives == number:
                packer.add(request, script.sizes)
        for request, script in enumerate(scripts):
            if script.leaves == number:
                packer.remove(request)
        waiting = len(packer)
        steps.append(packer.pack())
        assert bool(steps[-1]) == bool(waiting)
        if not packer and number > 30:
            return steps
        assert number < 2000
    raise AssertionError


@settings(deadline=None)
@given(
    scripts=SCRIPTS, max_tokens=st.integers(1, 60), max_inputs=st.integers(1, 8), quantum=st.integers(1, 50)
)
def test_every_input_has_its_place_and_no_step_is_too_large(
    scripts: list[Script], max_tokens: int, max_inputs: int, quantum: int
) -> None:
    packer: StepPacker[int] = StepPacker(max_tokens=max_tokens, max_inputs=max_inputs, quantum=quantum)
    steps = play(packer, scripts)
    for step in steps:
        assert len(step) <= max_inputs
        assert len(step) <= 1 or sum(scripts[slot.request].sizes[slot.index] for slot in step) <= max_tokens
    for request, script in enumerate(scripts):
        places = [
            (number, slot.index)
            for number, step in enumerate(steps)
            for slot in step
            if slot.request == request
        ]
        indices = [index for _, index in places]
        assert indices == list(range(len(indices)))
        if script.leaves is None or script.leaves < script.arrives:
            assert len(indices) == len(script.sizes)
        else:
            assert all(script.arrives <= number < script.leaves for number, _ in places)


@settings(deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=60), min_size=2, max_size=6),
    max_tokens=st.integers(1, 60),
    quantum=st.integers(1, 50),
)
def test_waiting_requests_get_tokens_alike(sizes: list[list[int]], max_tokens: int, quantum: int) -> None:
    packer: StepPacker[int] = StepPacker(max_tokens=max_tokens, max_inputs=8, quantum=quantum)
    slots = [slot for step in play(packer, [Script(each, 0, None) for each in sizes]) for slot in step]
    bound = 2 * max(map(max, sizes)) + quantum
    for one, other in itertools.combinations(range(len(sizes)), 2):
        ahead = [0]
        for slot in slots:
            tokens = sizes[slot.request][slot.index]
            if slot.request in (one, other):
                ahead.append(ahead[-1] + (tokens if slot.request == one else -tokens))
                if slot.index == len(sizes[slot.request]) - 1:
                    break
        assert max(ahead) - min(ahead) <= bound


def test_a_short_request_does_not_wait_for_a_long_one() -> None:
    packer: StepPacker[str] = StepPacker(max_tokens=256, max_inputs=32, quantum=64)
    packer.add("long", [100] * 2048)
    packer.pack()
    packer.add("short", [5])
    assert Slot("short", 0) in packer.pack() + packer.pack()


def test_whoever_comes_after_a_leaver_is_paid_once() -> None:
    packer: StepPacker[str] = StepPacker(max_tokens=10, max_inputs=8, quantum=10)
    packer.add("a", [10, 10])
    packer.add("b", [10, 10])
    assert packer.pack() == [Slot("a", 0)]
    packer.remove("a")
    packer.add("c", [10])
    assert [packer.pack() for _ in range(3)] == [[Slot("b", 0)], [Slot("c", 0)], [Slot("b", 1)]]


@pytest.mark.parametrize("bounds", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_bounds_are_positive(bounds: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        StepPacker(max_tokens=bounds[0], max_inputs=bounds[1], quantum=bounds[2])


@pytest.mark.parametrize("sizes", [[], [3, 0]])
def test_a_request_without_tokens_is_a_mistake(sizes: list[int]) -> None:
    packer: StepPacker[str] = StepPacker(max_tokens=1, max_inputs=1, quantum=1)
    with pytest.raises(ValueError, match="tokens"):
        packer.add("a", sizes)
