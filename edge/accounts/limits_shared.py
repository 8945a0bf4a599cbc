"""Limits counted in a Valkey or Redis that several edges share.

The scripts are our own: the windows of the ``limits`` package begin with their first request, and it asks the
store once for each limit.
"""

import secrets
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from edge.accounts.limits import WINDOW_SECONDS, Limit, Subject, Use, Verdict, reserved

PREFIX = "nearedge:limits"
LEASE_SECONDS = 30
"""How long a running request counts without a sign of life of its edge."""

KEPT_SECONDS = 2 * WINDOW_SECONDS
MOST_CONNECTIONS = 32
SOCKET_SECONDS = 5.0
NONE = -1
"""Stands for "no limit" in the scripts."""

_KINDS = MappingProxyType({1: Limit.REQUESTS, 2: Limit.CONCURRENT, 3: Limit.TOKENS})

# The windows follow the clock of the store, so edges whose own clocks differ still count in the same one.
_ADMIT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local length, lease, id, count = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local window = math.floor(now / length) * length
local uses, subject, kind = {}, 0, 0
for i = 1, #KEYS / 2 do
    local at = 4 + (i - 1) * 4
    local requests, tokens = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local concurrent, wanted = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local held = redis.call('HMGET', KEYS[2 * i - 1], 'window', 'requests', 'tokens')
    local use = {0, 0, 0}
    if tonumber(held[1]) == window then use = {tonumber(held[2]), tonumber(held[3]), 0} end
    if concurrent >= 0 then
        if count then redis.call('ZREMRANGEBYSCORE', KEYS[2 * i], '-inf', now) end
        use[3] = redis.call('ZCOUNT', KEYS[2 * i], now, '+inf')
    end
    if kind == 0 then
        if requests >= 0 and use[1] + 1 > requests then kind = 1
        elseif concurrent >= 0 and use[3] + 1 > concurrent then kind = 2
        elseif wanted > 0 and tokens >= 0 and use[2] + wanted > tokens then kind = 3 end
        if kind > 0 then subject = i end
    end
    uses[i] = use
end
if count and kind == 0 then
    for i = 1, #KEYS / 2 do
        local at = 4 + (i - 1) * 4
        local use = uses[i]
        use[1], use[2] = use[1] + 1, use[2] + tonumber(ARGV[at + 4])
        redis.call('HSET', KEYS[2 * i - 1], 'window', window, 'requests', use[1], 'tokens', use[2])
        redis.call('EXPIRE', KEYS[2 * i - 1], length * 2)
        if tonumber(ARGV[at + 3]) >= 0 then
            use[3] = use[3] + 1
            redis.call('ZADD', KEYS[2 * i], now + lease, id)
            redis.call('EXPIRE', KEYS[2 * i], math.ceil(lease * 2))
        end
    end
end
local answer = {tostring(now), window, subject, kind}
for i = 1, #uses do
    for j = 1, 3 do answer[#answer + 1] = uses[i][j] end
end
return answer
"""

_LEAVE = """
local now = tonumber(redis.call('TIME')[1])
local length, id, counted = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local window = math.floor(now / length) * length
for i = 1, #KEYS / 2 do
    redis.call('ZREM', KEYS[2 * i], id)
    local rest = tonumber(ARGV[3 + i])
    if rest > 0 or (rest < 0 and counted == window) then
        local held = redis.call('HMGET', KEYS[2 * i - 1], 'window', 'requests', 'tokens')
        local use = {0, 0}
        if tonumber(held[1]) == window then use = {tonumber(held[2]), tonumber(held[3])} end
        local tokens = math.max(0, use[2] + rest)
        redis.call('HSET', KEYS[2 * i - 1], 'window', window, 'requests', use[1], 'tokens', tokens)
        redis.call('EXPIRE', KEYS[2 * i - 1], length * 2)
    end
end
"""

_REFRESH = """
local now = tonumber(redis.call('TIME')[1])
local lease = tonumber(ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now + lease, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], lease * 2)
"""


def new_lease() -> str:
    """Return a name for the lease of one request."""
    return secrets.token_urlsafe(12)


class SharedLimits:
    """Counts what each subject uses, atomically and in one round trip for all that a request needs.

    A running request holds a lease that its edge renews: one whose edge has died counts no longer than
    *lease_seconds*. Every method raises ``redis.RedisError`` or ``OSError`` when the store fails, and knows
    no deadline of its own.
    """

    def __init__(
        self,
        client: Redis,
        *,
        prefix: str = PREFIX,
        window_seconds: int = WINDOW_SECONDS,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._window_seconds = window_seconds
        self._lease_seconds = lease_seconds
        self._admit = client.register_script(_ADMIT)
        self._leave = client.register_script(_LEAVE)
        self._refresh = client.register_script(_REFRESH)
        self._held: dict[str, tuple[str, ...]] = {}
        """The sorted sets in which each lease stands."""

    async def admit(self, subjects: Sequence[Subject], lease: str, *, tokens: int = 0) -> Verdict:
        """Count one request of each of *subjects*, and *tokens*, if none of their limits is against it.

        A new *lease* stands for the request: if it was counted, to be given back by :meth:`leave`. If this
        fails, nobody knows whether it was: then it is to be given back by :meth:`drop`.
        """
        running = tuple(
            self._running(item) for item in subjects if item.limits.concurrent_requests is not None
        )
        if running:
            self._held[lease] = running
        verdict = await self._ask(subjects, tokens, lease)
        if verdict.exceeded is not None:
            self.forget(lease)
        return verdict

    async def look(self, subjects: Sequence[Subject]) -> Verdict:
        """Tell what is used, and count nothing."""
        return await self._ask(subjects, 0, "")

    async def leave(
        self, subjects: Sequence[Subject], lease: str, window: int, *, reserved_tokens: int, used_tokens: int
    ) -> None:
        """Give *lease* back and correct the tokens that were counted in *window* to those really used."""
        rests = [used_tokens - reserved(subject, reserved_tokens) for subject in subjects]
        await self._leave(keys=self._keys(subjects), args=[self._window_seconds, lease, window, *rests])

    async def drop(self, subjects: Sequence[Subject], lease: str) -> None:
        """Give *lease* back, if the store has it; the tokens that were counted with it stay so."""
        await self._leave(
            keys=self._keys(subjects), args=[self._window_seconds, lease, 0, *[0] * len(subjects)]
        )

    def forget(self, lease: str) -> None:
        """Renew *lease* no more."""
        self._held.pop(lease, None)

    async def refresh(self) -> None:
        """Renew every lease that is held here; to be done well within ``lease_seconds``."""
        leases: dict[str, list[str]] = {}
        for lease, names in self._held.items():
            for name in names:
                leases.setdefault(name, []).append(lease)
        for name, held in leases.items():
            await self._refresh(keys=[name], args=[self._lease_seconds, *held])

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, subjects: Sequence[Subject], tokens: int, lease: str) -> Verdict:
        arguments: list[Any] = [self._window_seconds, self._lease_seconds, lease, int(bool(lease))]
        for subject in subjects:
            limits = subject.limits
            held = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
            arguments += [NONE if limit is None else limit for limit in held]
            arguments.append(reserved(subject, tokens))
        answer = await self._admit(keys=self._keys(subjects), args=arguments)
        now, window, index, kind, *numbers = answer
        uses = tuple(Use(*numbers[at : at + 3]) for at in range(0, len(numbers), 3))
        against = (subjects[index - 1], _KINDS[kind]) if kind else None
        return Verdict(float(now), window, window + self._window_seconds, uses, against)

    def _keys(self, subjects: Sequence[Subject]) -> list[str]:
        return [key for subject in subjects for key in (self._counts(subject), self._running(subject))]

    def _counts(self, subject: Subject) -> str:
        return f"{self._prefix}:{{{subject.group}}}:{subject.name}:counts"

    def _running(self, subject: Subject) -> str:
        return f"{self._prefix}:{{{subject.group}}}:{subject.name}:running"


def connect(url: str) -> Redis:
    """Return a client of the store at *url* (``redis://``, ``rediss://`` or ``unix://``).

    It tries nothing twice: whoever asks it has a request waiting. Where all connections are in use,
    he waits for one.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        # Whoever asks has a deadline of his own; this one is for what nobody waits for any more.
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        max_connections=MOST_CONNECTIONS,
        timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    client: Redis = Redis.from_pool(pool)
    return client
