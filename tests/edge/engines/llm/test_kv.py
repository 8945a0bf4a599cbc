from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.llm.kv import KvLedger

SEQUENCES = 4
CELLS = 24

changes = st.lists(
    st.tuples(
        st.sampled_from(["extend", "truncate", "share"]),
        st.integers(0, SEQUENCES - 1),
        st.integers(0, SEQUENCES - 1),
        st.integers(0, CELLS + 2),
    ),
    max_size=60,
)


class Cells:
    """The slow way: every token computed is a number of its own, and a cell is taken while anybody has it."""

    def __init__(self) -> None:
        self._fresh = count()
        self.held: list[list[int]] = [[] for _ in range(SEQUENCES)]

    @property
    def free(self) -> int:
        return CELLS - len({cell for held in self.held for cell in held})

    def extend(self, sequence: int, tokens: int) -> None:
        self.held[sequence] += [next(self._fresh) for _ in range(tokens)]

    def exclusive(self, sequence: int, start: int) -> int:
        others = {cell for number, held in enumerate(self.held) if number != sequence for cell in held}
        return len(set(self.held[sequence][start:]) - others)


@given(changes, st.integers(0, CELLS))
def test_cells_are_taken_while_any_sequence_has_them(
    steps: list[tuple[str, int, int, int]], start: int
) -> None:
    ledger, cells = KvLedger(CELLS, SEQUENCES), Cells()
    for change, sequence, other, tokens in steps:
        if change == "extend":
            if tokens > cells.free:
                with pytest.raises(ValueError, match=f"{tokens} cells asked for, {cells.free} free"):
                    ledger.extend(sequence, tokens)
            else:
                ledger.extend(sequence, tokens)
                cells.extend(sequence, tokens)
        elif change == "truncate":
            ledger.truncate(sequence, tokens)
            del cells.held[sequence][tokens:]
        elif not cells.held[other] and other != sequence:
            ledger.share(sequence, other, tokens)
            cells.held[other] = cells.held[sequence][:tokens]
        assert ledger.free == cells.free
        for number in range(SEQUENCES):
            assert ledger.length(number) == len(cells.held[number])
            assert ledger.exclusive(number) == cells.exclusive(number, 0)
            assert ledger.exclusive(number, start) == cells.exclusive(number, start)
    for number in range(SEQUENCES):
        ledger.truncate(number, 0)
    assert ledger.free == ledger.capacity == CELLS


@given(changes)
def test_what_exclusive_counts_is_what_truncating_frees(steps: list[tuple[str, int, int, int]]) -> None:
    ledger = KvLedger(CELLS, SEQUENCES)
    for change, sequence, other, tokens in steps:
        if change == "extend":
            ledger.extend(sequence, min(tokens, ledger.free))
        elif change == "share" and sequence != other and ledger.length(other) == 0:
            ledger.share(sequence, other, tokens)
        elif change == "truncate":
            freed = ledger.exclusive(sequence, tokens)
            before = ledger.free
            ledger.truncate(sequence, tokens)
            assert ledger.free == before + freed


def test_a_shared_beginning_outlives_its_source() -> None:
    ledger = KvLedger(8, 2)
    ledger.extend(0, 5)
    ledger.share(0, 1, 3)
    assert (ledger.free, ledger.exclusive(0), ledger.exclusive(1)) == (3, 2, 0)
    ledger.truncate(0, 0)
    assert (ledger.free, ledger.length(1), ledger.exclusive(1)) == (5, 3, 3)
    ledger.extend(1, 5)
    assert ledger.free == 0
