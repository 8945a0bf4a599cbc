"""What one load came to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """``cpu_us`` is the processor time of the server for one request, in microseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_us: float = 0.0

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds
