"""What a call used, and what that costs."""

from typing import NamedTuple

from edge.models.prices import Price

_MILLION, _MINUTE_MS, _THOUSAND = 1_000_000, 60_000, 1_000
_SHARED = 3_000_000
"""A multiple of all three, so that a sum is rounded once."""


class Measures(NamedTuple):
    """``cached_tokens`` are among ``prompt_tokens``; ``audio_ms`` is how long what was heard is."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    audio_ms: int = 0
    characters: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def cost(price: Price, measures: Measures) -> int:
    """Return what *measures* cost in micro-units, the sum rounded up."""
    fresh = measures.prompt_tokens - measures.cached_tokens
    tokens = (
        fresh * price.input
        + measures.cached_tokens * price.cached
        + measures.completion_tokens * price.output
    )
    shared = (
        tokens * (_SHARED // _MILLION)
        + measures.audio_ms * price.minute * (_SHARED // _MINUTE_MS)
        + measures.characters * price.thousand_characters * (_SHARED // _THOUSAND)
    )
    return -(-shared // _SHARED)
