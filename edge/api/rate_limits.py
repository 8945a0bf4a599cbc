"""How limits are told to callers."""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.types import Message, Send

from edge.accounts import Key, Limits
from edge.accounts.limits import Limit, Standing, Subject, Verdict
from edge.accounts.tenants import NO_LIMITS
from edge.errors import RateLimitExceeded

V6_NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has all that begin like it."""

_UNITS: Mapping[Limit, str] = {
    Limit.REQUESTS: "{limit} requests a minute per {kind}",
    Limit.TOKENS: "{limit} tokens a minute per {kind}",
    Limit.CONCURRENT: "{limit} requests at a time per {kind}",
}


def subjects_of(key: Key, default_requests: int) -> tuple[Subject, ...]:
    """Return whose limits a request with *key* counts against.

    *default_requests* a minute are what a key may do for which no other limit was set; 0 is without limit.
    """
    limits, tenant = key.limits, key.tenant
    if limits.requests_per_minute is None and default_requests:
        limits = replace(limits, requests_per_minute=default_requests)
    of_key = Subject("key", key.id, tenant.id, limits)
    if tenant.limits == NO_LIMITS:
        return (of_key,)
    return of_key, Subject("tenant", tenant.id, tenant.id, tenant.limits)


def address_of(request: Request, requests: int) -> tuple[Subject, ...]:
    """Return the caller's address as that whose requests count; none if *requests*, the limit, is 0."""
    host = request.client.host if request.client is not None else "unknown"
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        if address.version == 6:
            host = str(ipaddress.ip_network((address, V6_NETWORK_BITS), strict=False))
    return (Subject("address", host, host, Limits(requests)),) if requests else ()


def refusal(verdict: Verdict) -> RateLimitExceeded:
    """Return the error of a request that exceeds a limit."""
    assert verdict.exceeded is not None
    subject, limit = verdict.exceeded
    limits = subject.limits
    allowed = {
        Limit.REQUESTS: limits.requests_per_minute,
        Limit.TOKENS: limits.tokens_per_minute,
        Limit.CONCURRENT: limits.concurrent_requests,
    }[limit]
    what = _UNITS[limit].format(limit=allowed, kind=subject.kind)
    seconds = verdict.retry_after
    return RateLimitExceeded(f"Rate limit exceeded: {what}; try again in {seconds} s", retry_after=seconds)


class RatedSend:
    """Sends an answer with headers that say how the caller stands, once that is known."""

    def __init__(self, send: Send) -> None:
        self.standing: Standing | None = None
        self.started = False
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.standing is not None:
                own = (
                    (b"x-ratelimit-limit", b"%d" % self.standing.limit),
                    (b"x-ratelimit-remaining", b"%d" % self.standing.remaining),
                    (b"x-ratelimit-reset", b"%d" % self.standing.reset),
                )
                message = {**message, "headers": [*message["headers"], *own]}
        await self._send(message)
