"""Prompts of an exact length, the same for every server and different everywhere else.

No two prompts share a beginning, so that no server's prefix cache finds anything in them unless a
workload puts one in front on purpose.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MOST_CHANGES = 200


class Prompts:
    """Makes texts of *words*; *count* says how many tokens a text is."""

    def __init__(self, words: Sequence[str], count: Callable[[str], int], seed: int) -> None:
        self._words = words
        self._count = count
        self._seed = seed

    def text(self, tokens: int, *key: object) -> str:
        """Return a text of exactly *tokens* tokens; the same *key* gives the same text.

        Raises:
            ValueError: no such text was found.
        """
        rng = random.Random(f"{self._seed}/{tokens}/{key}")
        words = rng.choices(self._words, k=tokens)
        for _ in range(_MOST_CHANGES):
            text = " ".join(words)
            over = self._count(text) - tokens
            if over == 0:
                return text
            if over > 0:
                del words[-over:]
            else:
                words += rng.choices(self._words, k=-over)
        raise ValueError(f"no text of {tokens} tokens was found")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request *at* so many seconds after the start."""

    at: float
    prompt_tokens: int
    new_tokens: int


def poisson_arrivals(
    seed: int,
    key: object,
    *,
    count: int,
    per_second: float,
    prompt_tokens: tuple[int, int],
    new_tokens: tuple[int, int],
) -> list[Arrival]:
    """Return *count* arrivals with exponential gaps; lengths are uniform between the given bounds."""
    rng = random.Random(f"{seed}/{key}")
    at = 0.0
    arrivals = []
    for _ in range(count):
        arrivals.append(Arrival(at, rng.randint(*prompt_tokens), rng.randint(*new_tokens)))
        at += rng.expovariate(per_second)
    return arrivals
