"""What a caller may use in a minute and at a time, and what is said to one who wants more."""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from edge.accounts.tenants import Limits

WINDOW_SECONDS = 60
"""The windows of all counts begin together, at each full minute of the Unix clock."""


class Limit(enum.StrEnum):
    """What is limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose use is counted: the key, tenant or address named ``id``.

    ``group`` is the tenant, or the address: what is counted together lies on one node of a cluster.
    """

    kind: str
    id: str
    group: str
    limits: Limits
    name: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.kind}:{self.id}")


class Use(NamedTuple):
    """What a subject has used of the current minute, and how many of its requests run."""

    requests: int = 0
    tokens: int = 0
    running: int = 0


class Verdict(NamedTuple):
    """Whether a request may go on.

    ``now``, ``window`` (its beginning) and ``reset`` (its end) are Unix seconds by the clock that counted.
    ``uses`` has one element per subject, in order, with this request in it if it may go on. ``exceeded`` is
    the limit that is against it.
    """

    now: float
    window: int
    reset: int
    uses: tuple[Use, ...]
    exceeded: tuple[Subject, Limit] | None = None

    @property
    def retry_after(self) -> int:
        """Seconds, at least one, after which a refused request may be tried again."""
        if self.exceeded is not None and self.exceeded[1] is Limit.CONCURRENT:
            return 1
        return max(1, math.ceil(self.reset - self.now))


def exceeded(subjects: Sequence[Subject], uses: Sequence[Use], tokens: int) -> tuple[Subject, Limit] | None:
    """Return the first limit that one more request of *tokens* would exceed, None if there is none.

    A request that alone is above the limit of tokens may have the whole of a minute.
    """
    for subject, (requests, used, running) in zip(subjects, uses, strict=True):
        limits = subject.limits
        most = limits.requests_per_minute
        if most is not None and requests >= most:
            return subject, Limit.REQUESTS
        most = limits.concurrent_requests
        if most is not None and running >= most:
            return subject, Limit.CONCURRENT
        most = limits.tokens_per_minute
        if tokens and most is not None and used + min(tokens, most) > most:
            return subject, Limit.TOKENS
    return None


def reserved(subject: Subject, tokens: int) -> int:
    """Return how many of *tokens* are counted before a request runs: never more than a minute has."""
    limit = subject.limits.tokens_per_minute
    return tokens if limit is None or tokens <= limit else limit


class Standing(NamedTuple):
    """How a caller stands with the requests of this minute; ``reset`` in Unix seconds."""

    limit: int
    remaining: int
    reset: int


def standing(subjects: Sequence[Subject], verdict: Verdict) -> Standing | None:
    """Return how the caller stands with the limit that is nearest, None if no limit counts his requests."""
    nearest: Standing | None = None
    for subject, use in zip(subjects, verdict.uses, strict=True):
        limit = subject.limits.requests_per_minute
        if limit is None:
            continue
        remaining = max(0, limit - use.requests)
        if nearest is None or (remaining, limit) < (nearest.remaining, nearest.limit):
            nearest = Standing(limit, remaining, verdict.reset)
    return nearest
