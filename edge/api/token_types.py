"""What is sent to make keys, and what is shown of them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, AwareDatetime, Field
from typing_extensions import TypedDict

from edge.accounts import Key, NewKey, Scope
from edge.accounts.keys import DEFAULT_OVERLAP, LONGEST_OVERLAP
from edge.accounts.tenants import ID, LONGEST_NAME
from edge.api.requests.fields import MAX_INT32, ApiModel, FormModel

MAX_LISTED = 100
MAX_PAGE = 1000
MAX_CURSOR = 2048
LONGEST_EXPIRY_SECONDS = 100 * 366 * 86400

Limit = Annotated[int, Field(ge=1, le=MAX_INT32)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Names = Annotated[list[Name], Field(min_length=1, max_length=MAX_LISTED)]
TenantId = Annotated[str, Field(pattern=rf"^{ID.pattern}$")]


class TokenLimits(ApiModel):
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    concurrent_requests: Limit | None = None


class TokenRequest(ApiModel):
    display_name: str = Field(
        default="default",
        min_length=1,
        max_length=LONGEST_NAME,
        validation_alias=AliasChoices("displayName", "display_name", "name"),
        description="What the key is for; `name` says the same",
    )
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] | None = Field(
        default=None, description="What the key opens; `inference` when absent"
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="When it ends (RFC 3339); never when absent"
    )
    expires_in: Annotated[int, Field(ge=1, le=LONGEST_EXPIRY_SECONDS)] | None = Field(
        default=None, description="The same, in seconds from now"
    )
    models: Names | None = Field(default=None, description="Models it may be used for; all when absent")
    regions: Names | None = Field(
        default=None, description="Ids or aliases of the regions it may be used in; all when absent"
    )
    limits: TokenLimits | None = Field(default=None, description="How much may be used with it")
    tenant_id: TenantId | None = Field(
        default=None, description="Whose key it is, for operators; the caller's own tenant when absent"
    )


class RotateRequest(ApiModel):
    overlap_seconds: Annotated[int, Field(ge=0, le=int(LONGEST_OVERLAP.total_seconds()))] = Field(
        default=int(DEFAULT_OVERLAP.total_seconds()),
        description="How long the old key goes on beside the new one",
    )


class TokensQuery(FormModel):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = Field(default=20, description="Keys in one answer")
    cursor: Annotated[str, Field(min_length=1, max_length=MAX_CURSOR)] | None = Field(
        default=None, description="`next_cursor` of the answer before"
    )
    tenant_id: TenantId | None = Field(
        default=None, description="Whose keys, for operators; the caller's own tenant when absent"
    )


class LimitsInfo(TypedDict):
    """What is null is bounded by the edge's default, and by the tenant's limits."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None


Status = Literal["active", "expired", "revoked"]


class Token(TypedDict):
    """An API key without its text. Times are RFC 3339 in UTC; null models or regions are all of them, and
    ``rotated_from`` is the id of the key that it takes over from."""

    id: str
    object: Literal["token"]
    name: str
    displayName: str
    tenant_id: str
    status: Status
    scopes: list[str]
    models: list[str] | None
    regions: list[str] | None
    limits: LimitsInfo
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    rotated_from: str | None


class NewToken(Token):
    """An API key with its text, which is in this answer and never again: as ``key`` and as ``token``."""

    key: str
    token: str


class TokenPage(TypedDict):
    """``next_cursor`` is the ``cursor`` of the next page; null on the last one."""

    object: Literal["list"]
    data: list[Token]
    next_cursor: str | None


class RevokedToken(Token):
    deleted: Literal[True]


def describe(key: Key, now: datetime | None = None) -> Token:
    """Return what is shown of *key*."""
    return {
        "id": key.id,
        "object": "token",
        "name": key.name,
        "displayName": key.name,
        "tenant_id": key.tenant_id,
        "status": _status(key, now or datetime.now(UTC)),
        "scopes": sorted(key.scopes),
        "models": _listed(key.models),
        "regions": _listed(key.regions),
        "limits": {
            "requests_per_minute": key.limits.requests_per_minute,
            "tokens_per_minute": key.limits.tokens_per_minute,
            "concurrent_requests": key.limits.concurrent_requests,
        },
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "rotated_from": key.rotated_from,
    }


def describe_new(new: NewKey) -> NewToken:
    """Return what is shown of a key just made."""
    return {**describe(new.key), "key": new.raw, "token": new.raw}


def _status(key: Key, now: datetime) -> Status:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expired(now) else "active"


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return sorted(names) if names is not None else None
