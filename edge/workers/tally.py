"""What the events of a stream tell of the work that was done."""

import time

from edge.workers.messages import (
    Audio,
    Event,
    Generated,
    Heard,
    Segment,
    Spoken,
    Text,
    ToolCall,
    Transcribed,
    Vectors,
)

_LAST = (Generated, Vectors, Spoken, Transcribed)


class Tally:
    """Counts for *size* requests, also what comes when nobody reads their events any more."""

    def __init__(self, size: int) -> None:
        self.drawn = [0] * size
        """Tokens that the text so far was made of, by request."""
        self.ends: list[Event | None] = [None] * size
        """The last event of each request that has one."""
        self.heard_seconds = 0.0
        """How far a recording was listened to."""
        self.spoken_characters = 0
        """How much of a text was spoken."""
        self.first_at: float | None = None
        """``time.perf_counter()`` at the first event."""

    def take(self, index: int, event: Event) -> None:
        if self.first_at is None:
            self.first_at = time.perf_counter()
        if isinstance(event, Text | ToolCall):
            self.drawn[index] += event.tokens
        elif isinstance(event, _LAST):
            self.ends[index] = event
        elif isinstance(event, Audio):
            self.spoken_characters += event.characters
        elif isinstance(event, Segment):
            self.heard_seconds = max(self.heard_seconds, event.end)
        elif isinstance(event, Heard):
            self.heard_seconds = max(self.heard_seconds, event.seconds)

    @property
    def complete(self) -> bool:
        """Whether every request has its last event."""
        return None not in self.ends

    @property
    def queue_ms(self) -> float:
        """How long the slowest request waited in the engine; 0 for what did not tell."""
        return max((getattr(end, "queue_ms", 0.0) for end in self.ends), default=0.0)
