"""Percentiles that can be merged: those of many edges and days are those of all their calls.

DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019), for times. The package of its authors writes sketches by protobuf, which it does not
declare.
"""

import math
from collections.abc import Iterable
from typing import Self

import msgpack

ACCURACY = 0.01
"""A quantile is within one per cent of the true one."""

LEAST_MS = 0.01
"""Anything shorter counts as this."""

MOST_MS = 86_400_000.0
"""A day; anything longer counts as this. So a sketch has at most 1,145 buckets."""

_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)


class Sketch:
    """Counts of times, in milliseconds, by the logarithm of their length."""

    def __init__(self, times_ms: Iterable[float] = ()) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        for ms in times_ms:
            self.add(ms)

    def add(self, ms: float) -> None:
        bucket = math.ceil(math.log(min(max(ms, LEAST_MS), MOST_MS)) / _LOG_GAMMA)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1

    def merge(self, other: Self) -> None:
        """Take in all that *other* counted."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count

    def quantile(self, share: float) -> float:
        """Return the time in milliseconds that *share* (0 to 1) of the calls did not exceed; 0 for none."""
        rank = share * (self.count - 1)
        seen = 0
        for bucket, count in sorted(self._buckets.items()):
            seen += count
            if seen > rank:
                return float(2 * _GAMMA**bucket / (1 + _GAMMA))
        return 0.0

    def to_bytes(self) -> bytes:
        packed: bytes = msgpack.packb(sorted(self._buckets.items()))
        return packed

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        sketch = cls()
        sketch._buckets = dict(msgpack.unpackb(data))
        sketch.count = sum(sketch._buckets.values())
        return sketch
