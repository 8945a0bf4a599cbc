"""Medians, spreads and ratios of what was measured round by round."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the *percent*-th percentile, interpolated linearly between the two nearest of *values*.

    Raises:
        ValueError: there are no values, or *percent* is not from 0 to 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError("a percentile needs values, and a percent from 0 to 100")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured once a round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def show(self, digits: int = 0) -> str:
        """Write the median and, in brackets, the lowest and the highest round."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two medians; ``low`` and ``high`` are the extremes of the ratios round by round."""

    value: float
    low: float
    high: float

    def show(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(ours: Figure, theirs: Figure) -> Ratio:
    """Return *ours* over *theirs*, which were measured in the same rounds.

    Raises:
        ValueError: they have different numbers of rounds.
    """
    rounds = [mine / other for mine, other in zip(ours.values, theirs.values, strict=True)]
    return Ratio(ours.median / theirs.median, min(rounds), max(rounds))
