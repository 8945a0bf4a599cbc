import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from edge.accounts import Billing, Scope, TenantService
from edge.accounts.freshness import Freshness
from edge.accounts.jwks import KeySet, KeysUnavailable
from edge.accounts.sessions import InvalidSession, SessionForbidden, SessionRules, Sessions
from edge.store import StoreError, TenantStore, database_file, open_sqlite
from tests.edge.accounts.issuer import EC, ED, ISSUER, PUBLISHED, RSA, token

RULES = SessionRules(
    issuer=ISSUER,
    audience=(),
    tenant_claim="tenant",
    scope_claim="scope",
    allowed_scopes=frozenset({Scope.INFERENCE, Scope.READ, Scope.KEYS}),
    default_tenant=None,
    default_scopes=frozenset({Scope.INFERENCE}),
)
STRANGER = rsa.generate_private_key(65537, 2048)


async def published(_source: str) -> bytes:
    return PUBLISHED


async def unreachable(_source: str) -> bytes:
    raise OSError("down")


@asynccontextmanager
async def sessions(
    home: Path,
    rules: SessionRules = RULES,
    *,
    read: Callable[[str], object] = published,
    freshness: Freshness | None = None,
) -> AsyncIterator[Sessions]:
    async with open_sqlite(database_file(home)) as database:
        tenants = TenantService(TenantStore(database))
        if await tenants.find("acme") is None:
            await tenants.create("acme", "Acme", Billing.PREPAID)
        keys = KeySet("https://issuer.example/keys", read=read)  # type: ignore[arg-type]
        yield Sessions(rules, keys, tenants, freshness, cache_seconds=10)


@pytest.mark.anyio
async def test_a_token_opens_what_it_says_for_the_tenant_that_it_names(tmp_path: Path) -> None:
    async with sessions(tmp_path) as found:
        key = await found.find(token(tenant="acme"))
        assert (key.tenant_id, key.tenant.billing, key.name) == ("acme", Billing.PREPAID, "user-1")
        assert key.scopes == {Scope.INFERENCE, Scope.READ}
        assert (key.models, key.regions, key.expires_at) == (None, None, None)
        assert key.id == (await found.find(token(scope="keys"))).id
        assert key.id != (await found.find(token(sub="user-2"))).id


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA, "RS256", "rsa"),
        (RSA, "RS512", "rsa"),
        (RSA, "PS256", "rsa"),
        (EC, "ES256", "ec"),
        (ED, "EdDSA", "ed"),
    ],
)
async def test_every_kind_of_key_pair_signs(tmp_path: Path, key: object, algorithm: str, kid: str) -> None:
    async with sessions(tmp_path) as found:
        assert await found.find(token(key, algorithm=algorithm, kid=kid))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("keys inference", {Scope.KEYS, Scope.INFERENCE}),
        (["read", "openid"], {Scope.READ}),
        ("openid profile", set()),
        ("superadmin", set()),
        ("", set()),
        (7, set()),
        (None, {Scope.INFERENCE}),
    ],
)
async def test_only_scopes_that_tokens_may_have_count(
    tmp_path: Path, scope: object, expected: set[Scope]
) -> None:
    async with sessions(tmp_path) as found:
        assert (await found.find(token(scope=scope))).scopes == expected


def altered(good: str, **claims: object) -> str:
    head, body, signature = good.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = base64.urlsafe_b64encode(json.dumps(said | claims).encode()).decode().rstrip("=")
    return f"{head}.{changed}.{signature}"


def confused() -> str:
    """Return a token signed with the public key as if it were a shared secret."""
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    import hashlib
    import hmac

    claims = {"iss": ISSUER, "sub": "x", "exp": int(time.time()) + 3600, "tenant": "default"}
    signed = f"{part({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{part(claims)}"
    signature = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


BAD = {
    "no token": ("nonsense", "Invalid token: Not enough segments"),
    "two parts": ("a.b", "Invalid token: Not enough segments"),
    "no base64": ("!.!.!", "Invalid token: "),
    "too long": ("a." * 10_000, "Invalid token: it is too long"),
    "unsigned": (jwt.encode({"sub": "x"}, "", "none"), "Invalid token: it must be signed by a key pair"),
    "a secret's": (
        jwt.encode({"sub": "x"}, "s" * 64, "HS256"),
        "Invalid token: it must be signed by a key pair",
    ),
    "confused": (confused(), "Invalid token: it must be signed by a key pair"),
    "unknown key": (token(kid="other"), "Invalid token: the issuer has no such signing key"),
    "no key id": (token(kid=None), "Invalid token: the issuer has no such signing key"),
    "key of another kind": (
        token(EC, algorithm="ES256", kid="rsa"),
        "Invalid token: the issuer has no such signing key",
    ),
    "stranger's": (token(STRANGER), "Invalid token: Signature verification failed"),
    "altered": (altered(token(), tenant="acme"), "Invalid token: Signature verification failed"),
    "another issuer": (token(iss="https://other.example"), "Invalid token: Invalid issuer"),
    "no issuer": (token(iss=None), 'Invalid token: Token is missing the "iss" claim'),
    "no expiry": (token(exp=None), 'Invalid token: Token is missing the "exp" claim'),
    "no subject": (token(sub=None), 'Invalid token: Token is missing the "sub" claim'),
    "expired": (token(exp=int(time.time()) - 1), "Token has expired"),
    "not yet": (token(nbf=int(time.time()) + 3600), "Invalid token: The token is not yet valid (nbf)"),
    "endless": (token(exp=float("inf")), "Invalid token: its expiry is no number"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_token_is_refused_with_its_reason(tmp_path: Path, bad: str) -> None:
    text, reason = BAD[bad]
    async with sessions(tmp_path) as found:
        with pytest.raises(InvalidSession) as raised:
            await found.find(text)
    assert str(raised.value).startswith(reason)


@pytest.mark.anyio
async def test_an_expiry_is_kept_to_the_second(tmp_path: Path) -> None:
    async with sessions(tmp_path) as found:
        short = token(exp=int(time.time()) + 1)
        assert await found.find(short)
        time.sleep(1.1)  # noqa: ASYNC251
        with pytest.raises(InvalidSession, match="Token has expired"):
            await found.find(short)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("audience", "said", "good"),
    [
        ((), None, True),
        ((), "anything", True),
        (("nearedge",), "nearedge", True),
        (("nearedge", "other"), ["x", "other"], True),
        (("nearedge",), "x", False),
        (("nearedge",), None, False),
    ],
)
async def test_an_audience_must_be_named_where_one_is_set(
    tmp_path: Path, audience: tuple[str, ...], said: object, good: bool
) -> None:
    async with sessions(tmp_path, replace(RULES, audience=audience)) as found:
        if good:
            assert await found.find(token(aud=said))
            return
        with pytest.raises(InvalidSession, match=r"(?i)Invalid token: .*aud"):
            await found.find(token(aud=said))


@pytest.mark.anyio
@pytest.mark.parametrize("tenant", [None, "nobody", "", 7, ["default"], "a\0b", "x" * 1000])
async def test_a_tenant_that_is_not_known_is_forbidden(tmp_path: Path, tenant: object) -> None:
    async with sessions(tmp_path) as found:
        with pytest.raises(SessionForbidden) as raised:
            await found.find(token(tenant=tenant))
    assert len(str(raised.value)) < 200


@pytest.mark.anyio
async def test_claims_have_the_names_that_are_set(tmp_path: Path) -> None:
    rules = replace(RULES, tenant_claim="org", scope_claim="permissions", default_tenant="default")
    async with sessions(tmp_path, rules) as found:
        key = await found.find(token(org="acme", permissions=["keys"]))
        assert key.tenant_id == "acme"
        assert key.scopes == {Scope.KEYS}
        assert (await found.find(token(tenant="acme"))).tenant_id == "default"


@pytest.mark.anyio
async def test_keys_out_of_reach_and_old_copies_are_no_bad_tokens(tmp_path: Path) -> None:
    async with sessions(tmp_path, read=unreachable) as found:
        with pytest.raises(KeysUnavailable):
            await found.find(token())
    freshness = Freshness(stale_seconds=100, doubt_seconds=10)
    freshness.confirmed_at = datetime.now(UTC) - timedelta(seconds=50)
    async with sessions(tmp_path, freshness=freshness) as found:
        assert await found.find(token())
        with pytest.raises(StoreError):
            await found.find(token(tenant="new"))
