"""Which cells of the KV cache are taken, without asking llama.cpp."""

from collections import Counter
from collections.abc import Iterable


class KvLedger:
    """Counts the cells of a KV cache that all sequences share; a cell may belong to several of them.

    It mirrors what ``llama_memory_seq_cp`` and ``llama_memory_seq_rm`` do to a unified cache. Which cell of
    the real cache a number here stands for does not matter.
    """

    def __init__(self, cells: int, sequences: int) -> None:
        self.capacity = cells
        self._owners = [0] * cells
        self._free = list(range(cells))
        self._held: list[list[int]] = [[] for _ in range(sequences)]

    @property
    def free(self) -> int:
        return len(self._free)

    def length(self, sequence: int) -> int:
        """Return how many tokens *sequence* has in the cache."""
        return len(self._held[sequence])

    def exclusive(self, sequence: int, start: int = 0) -> int:
        """Return how many cells would be free again without the tokens of *sequence* from *start* on."""
        return sum(self._owners[cell] == 1 for cell in self._held[sequence][start:])

    def released(self, sequences: Iterable[int]) -> int:
        """Return how many cells would be free again without *sequences*."""
        holders = Counter(cell for sequence in sequences for cell in self._held[sequence])
        return sum(self._owners[cell] == count for cell, count in holders.items())

    def extend(self, sequence: int, tokens: int) -> None:
        """Take *tokens* free cells for *sequence*.

        Raises:
            ValueError: there are fewer.
        """
        if tokens > len(self._free):
            raise ValueError(f"{tokens} cells asked for, {len(self._free)} free")
        for _ in range(tokens):
            cell = self._free.pop()
            self._owners[cell] = 1
            self._held[sequence].append(cell)

    def truncate(self, sequence: int, tokens: int) -> None:
        """Let *sequence* keep its first *tokens*."""
        held = self._held[sequence]
        for cell in held[tokens:]:
            self._owners[cell] -= 1
            if self._owners[cell] == 0:
                self._free.append(cell)
        del held[tokens:]

    def share(self, source: int, target: int, tokens: int) -> None:
        """Give *target*, which has none, the first *tokens* of *source*."""
        cells = self._held[source][:tokens]
        for cell in cells:
            self._owners[cell] += 1
        self._held[target] = cells
