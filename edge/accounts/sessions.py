"""Session tokens: JWTs of a configured issuer, accepted where an API key is."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from cachetools import TTLCache

from edge.accounts.freshness import Freshness
from edge.accounts.jwks import ALGORITHMS, KeySet
from edge.accounts.key import Key
from edge.accounts.scopes import Scope
from edge.accounts.tenants import Tenant, TenantService
from shared.clock import rfc3339

LONGEST_TOKEN = 16_384
"""Characters; nothing longer is looked at."""

CACHED_TENANTS = 10_000
LEEWAY_SECONDS = 60.0
"""How far ahead the issuer's clock may be; an expiry is kept to the second."""


class InvalidSession(Exception):
    """The token is not good; the message is for its owner."""


class SessionForbidden(Exception):
    """The token is good, but names no tenant that there is; the message is for its owner."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What tokens must say, and how they name a tenant and scopes.

    ``default_tenant`` is for tokens without the tenant's claim, None refuses them; ``default_scopes`` for
    tokens without the scopes' claim. No token has other scopes than ``allowed_scopes``.
    """

    issuer: str
    audience: tuple[str, ...]
    tenant_claim: str
    scope_claim: str
    allowed_scopes: frozenset[Scope]
    default_tenant: str | None
    default_scopes: frozenset[Scope]


class Sessions:
    """Turns tokens into keys."""

    def __init__(
        self,
        rules: SessionRules,
        keys: KeySet,
        tenants: TenantService,
        freshness: Freshness | None,
        *,
        cache_seconds: float,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._tenants = tenants
        self._freshness = freshness
        self._cache: TTLCache[str, Tenant] = TTLCache(CACHED_TENANTS, cache_seconds, timer)

    async def find(self, token: str) -> Key:
        """Return what *token* may do, as a key. Its id is that of the user, whichever token he shows.

        Raises:
            InvalidSession: it is no token of the issuer, or has expired.
            SessionForbidden: its tenant is not known here.
            KeysUnavailable: the issuer's keys cannot be fetched.
            StoreError: the tenant cannot be looked up.
        """
        claims = await self._verify(token)
        tenant = await self._tenant(claims)
        subject = claims["sub"]
        identity = hashlib.sha256(f"{self._rules.issuer}\0{subject}".encode()).hexdigest()[:16]
        return Key(
            id=f"user_{identity}",
            tenant=tenant,
            name=subject[:200] if subject.isprintable() else "user",
            scopes=self._scopes(claims),
            created_at=rfc3339(datetime.now(UTC)),
        )

    async def _verify(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST_TOKEN:
            raise InvalidSession("Invalid token: it is too long")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise InvalidSession("Invalid token: it must be signed by a key pair, like RS256 or ES256")
            key = await self._keys.find(header.get("kid"))
            if key is None or algorithm not in key.algorithms:
                raise InvalidSession("Invalid token: the issuer has no such signing key")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                issuer=self._rules.issuer,
                audience=self._rules.audience or None,
                options={
                    "require": ["exp", "iss", "sub"],
                    "verify_aud": bool(self._rules.audience),
                    "verify_exp": False,
                },
                leeway=LEEWAY_SECONDS,
            )
            expires = int(claims["exp"])
        except jwt.PyJWTError as error:
            raise InvalidSession(f"Invalid token: {error}") from None
        except (ValueError, TypeError, OverflowError):
            raise InvalidSession("Invalid token: its expiry is no number") from None
        if expires <= time.time():
            raise InvalidSession("Token has expired")
        return claims

    async def _tenant(self, claims: Mapping[str, Any]) -> Tenant:
        claim = self._rules.tenant_claim
        tenant_id = claims.get(claim, self._rules.default_tenant)
        if not isinstance(tenant_id, str):
            raise SessionForbidden(f"The token names no tenant: its claim {claim!r} must hold a tenant's id")
        cached = self._cache.get(tenant_id)
        if cached is not None:
            return cached
        tenant = await self._tenants.find(tenant_id) if tenant_id.isprintable() else None
        if self._freshness is not None:
            self._freshness.check(tenant)
        if tenant is None:
            raise SessionForbidden(f"The token's tenant {tenant_id[:64]!r} is not known here")
        self._cache[tenant_id] = tenant
        return tenant

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        value = claims.get(self._rules.scope_claim)
        if value is None:
            return self._rules.default_scopes & self._rules.allowed_scopes
        words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        return frozenset(scope for scope in self._rules.allowed_scopes if scope.value in words)
