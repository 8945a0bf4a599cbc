"""Which core the server under load has, and which the load."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the server and another for the load, so that neither takes the other's time."""

    server: int
    load: int

    @classmethod
    def of(cls, available: Iterable[int]) -> Self:
        """Take the first two of the *available* ones; where there is one, both share it."""
        first, *others = sorted(available)
        return cls(server=first, load=others[0] if others else first)

    @classmethod
    def here(cls) -> Self:
        return cls.of(os.sched_getaffinity(0))

    def __str__(self) -> str:
        if self.server == self.load:
            return f"the server and the load share core {self.server}"
        return f"the server has core {self.server}, the load core {self.load}"


def pinned(core: int, command: Sequence[str]) -> tuple[str, ...]:
    """Return *command* so that it runs, with every thread and child of its, on *core* alone."""
    return ("taskset", "--cpu-list", str(core), *command)
