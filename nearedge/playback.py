"""What somebody hears who plays sound while it comes."""

from dataclasses import dataclass

SAMPLE_BYTES = 2
RATE = 24_000
"""Samples per second of the edge's ``pcm``: 16-bit little-endian mono."""


@dataclass(slots=True)
class Playback:
    """Plays 16-bit mono sound at real time from the moment that its first piece is there.

    Times are seconds on any one clock. ``stalled_seconds`` is for how long the player had nothing left to
    play before the last piece came.
    """

    first_at: float | None = None
    stalled_seconds: float = 0.0
    size_bytes: int = 0
    _plays_until: float = 0.0

    @property
    def seconds(self) -> float:
        """How much sound there is."""
        return self.size_bytes / (SAMPLE_BYTES * RATE)

    def take(self, data: bytes, at: float) -> None:
        """Take a piece that came *at* a time, not before that of the piece before it."""
        if not data:
            return
        if self.first_at is None:
            self.first_at = self._plays_until = at
        self.stalled_seconds += max(0.0, at - self._plays_until)
        self.size_bytes += len(data)
        self._plays_until = max(self._plays_until, at) + len(data) / (SAMPLE_BYTES * RATE)
