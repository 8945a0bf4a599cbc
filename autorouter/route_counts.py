"""What /v1/route has answered so far: plain numbers, so that counting costs next to nothing."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Self

from autorouter.choose import Choice, Reason
from autorouter.location import Source

BUCKET_SECONDS = (25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 100e-3)
"""Upper bounds of the time that finding an answer takes; what takes longer is counted after them."""


@dataclass(slots=True)
class RouteCounts:
    """``answers`` by reason, source of the location, and whether degraded; ``unchanged`` are those of them
    that were a 304; ``refusals`` by the error's code; ``buckets`` how many answers took how long.
    """

    answers: Counter[tuple[Reason, Source, bool]] = field(default_factory=Counter)
    unchanged: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKET_SECONDS) + 1))
    seconds: float = 0.0

    def answered(self, choice: Choice, source: Source, seconds: float) -> None:
        self.answers[choice.reason, source, choice.degraded] += 1
        self.buckets[bisect_left(BUCKET_SECONDS, seconds)] += 1
        self.seconds += seconds

    def copy(self) -> Self:
        """Return the numbers of now, which do not move on."""
        return replace(
            self, answers=self.answers.copy(), refusals=self.refusals.copy(), buckets=self.buckets.copy()
        )
