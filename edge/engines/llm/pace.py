"""How many prompt tokens a step may take without making running streams wait."""


class Pace:
    """Learns from every step how long prompt tokens take.

    While streams run, a step should last *target_seconds* at most: that bounds the gap between two of their
    tokens. Times are exponential moving averages in which a step weighs a fifth.
    """

    SMALLEST = 16
    """However slow the machine is, prompts go on."""

    WEIGHT = 0.2

    def __init__(self, *, target_seconds: float, largest: int) -> None:
        self._target_seconds = target_seconds
        self._largest = largest
        self._token_seconds = 0.0
        self._decode_seconds = 0.0

    def budget(self, *, decoding: bool) -> int:
        """Return how many prompt tokens the next step may take; *decoding* says whether streams run."""
        if not decoding:
            return self._largest
        if not self._token_seconds:
            return min(4 * self.SMALLEST, self._largest)
        spare = self._target_seconds - self._decode_seconds
        return int(max(self.SMALLEST, min(self._largest, spare / self._token_seconds)))

    def note(self, seconds: float, *, decoding: int, prefill_tokens: int) -> None:
        """Take in that a step took *seconds* for so many *decoding* streams and *prefill_tokens*."""
        if prefill_tokens == 0:
            self._decode_seconds = self._average(self._decode_seconds, seconds)
        elif prefill_tokens >= self.SMALLEST:
            own = max(seconds - (self._decode_seconds if decoding else 0.0), seconds / 4)
            self._token_seconds = self._average(self._token_seconds, own / prefill_tokens)

    def _average(self, before: float, now: float) -> float:
        return now if not before else before + self.WEIGHT * (now - before)
