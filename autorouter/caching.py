"""How long an answer may be kept, by whom, and how a cache asks whether it still holds."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from autorouter.choose import Choice, Reason
from autorouter.location import Location
from autorouter.settings import AutorouterSettings

GUESS_SECONDS = 30
"""The longest that anybody may keep a guess: an answer to a caller from nowhere, or one that was made while
every edge looks down or before its edge was heard of. Better knowledge should not have to wait for the old
answer to expire."""

_TAGS = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
TAGS_CHARACTERS = 4096
"""How much of an If-None-Match header is read."""


@dataclass(frozen=True, slots=True)
class CacheTimes:
    """In seconds: how long a client keeps an answer, how long a shared cache does, how long that one then
    still gives it out while it asks for the next, and how long when it cannot have the next.
    """

    ttl: int
    shared: int
    stale: int
    stale_if_error: int

    @classmethod
    def of(cls, settings: AutorouterSettings) -> Self:
        return cls(
            settings.route_ttl_seconds,
            settings.route_shared_seconds,
            settings.route_stale_seconds,
            settings.route_stale_if_error_seconds,
        )


def is_guess(choice: Choice) -> bool:
    """Whether *choice* was made for want of knowledge."""
    return choice.degraded or choice.unheard or choice.reason is Reason.DEFAULT


def ttl_seconds(choice: Choice, times: CacheTimes) -> int:
    """Return how long a client may keep *choice*."""
    return min(times.ttl, GUESS_SECONDS) if is_guess(choice) else times.ttl


def cache_control(choice: Choice, location: Location, times: CacheTimes) -> str:
    """Return the Cache-Control of *choice* (RFC 9111; the stale ones RFC 5861).

    A shared cache may keep it only where headers in its key decide the location. A guess is not given out
    beyond its time while there is an autorouter to ask.
    """
    ttl = ttl_seconds(choice, times)
    if not location.shared:
        return f"private, max-age={ttl}"
    guess = is_guess(choice)
    shared = min(times.shared, GUESS_SECONDS) if guess else times.shared
    stale = 0 if guess else times.stale
    return (
        f"public, max-age={ttl}, s-maxage={shared}, stale-while-revalidate={stale}, "
        f"stale-if-error={times.stale_if_error}"
    )


def vary(location: Location) -> str:
    """Return the Vary of an answer: the request headers that it depends on, and no other.

    Cross-origin rules add none: every origin gets the same answer.
    """
    return ", ".join(("Accept", *location.vary))


def entity_tag(body: bytes) -> str:
    """Return the strong entity tag of *body* (RFC 9110, 8.8.3)."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def is_known(tag: str, if_none_match: Iterable[str]) -> bool:
    """Whether the caller has the answer of that *tag* already: RFC 9110, 13.1.2, compared weakly."""
    text = ",".join(if_none_match)[:TAGS_CHARACTERS].strip()
    return text == "*" or tag in _TAGS.findall(text)
