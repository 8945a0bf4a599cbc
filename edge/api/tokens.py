"""``/v1/tokens``: the keys of a tenant."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog
from starlette.requests import Request
from starlette.responses import Response

from edge.accounts import Key, KeyEnded, KeyOrder, Limits, NoSuchKey, NoSuchTenant, Scope
from edge.accounts.accounts import Accounts
from edge.accounts.minting import BeyondCaller, check, may_end, order_like, within
from edge.api.cursors import read_cursor, write_cursor
from edge.api.parsing import parse_fields, parse_json
from edge.api.token_types import (
    RevokedToken,
    RotateRequest,
    TokenLimits,
    TokenPage,
    TokenRequest,
    TokensQuery,
    describe,
    describe_new,
)
from edge.errors import ExceedsKey, InvalidField, TokenEnded, TokenNotFound
from edge.settings import EdgeSettings
from edge.store import StoreError
from shared.errors import ApiError
from shared.http.json import JsonResponse

NOT_STORED = {"Cache-Control": "no-store"}

log = structlog.get_logger(__name__)


async def create_token(request: Request) -> Response:
    """Make an API key. Its text is in this answer and never again.

    It can do no more than the key that asks for it: what is left out is taken from that one. An operator's
    key has no such bounds.
    """
    body = await parse_json(request, TokenRequest)
    caller: Key = request.state.key
    accounts: Accounts = request.app.state.accounts
    try:
        order = within(caller, _order(request, body, caller), default_requests=_default_requests(request))
        new = await accounts.keys.create(order)
    except BeyondCaller as error:
        raise _beyond(error) from None
    except NoSuchTenant as error:
        raise InvalidField(f"tenant_id: {error}", param="tenant_id") from None
    except ValueError as error:
        raise InvalidField(str(error)) from None
    await _take_up(accounts)
    log.info("key made", key=new.key.id, tenant=new.key.tenant_id, by=caller.id)
    return JsonResponse(describe_new(new), 201, headers=NOT_STORED)


async def list_tokens(request: Request) -> Response:
    """List the keys of the caller's tenant, the oldest first, ended ones too; never their text."""
    query = parse_fields(dict(request.query_params), TokensQuery)
    caller: Key = request.state.key
    after = read_cursor(query.cursor, 2)
    if after is not None and not all(map(str.isprintable, after)):
        raise InvalidField("cursor: send the next_cursor of the answer before", param="cursor")
    tenant_id = query.tenant_id or caller.tenant_id
    if tenant_id != caller.tenant_id and not caller.superadmin:
        raise ExceedsKey(f"tenant_id: this key is of the tenant {caller.tenant_id}", param="tenant_id")
    keys = await request.app.state.accounts.keys.page(tenant_id=tenant_id, after=after, limit=query.limit + 1)
    shown = keys[: query.limit]
    more = len(keys) > len(shown)
    content: TokenPage = {
        "object": "list",
        "data": [describe(key) for key in shown],
        "next_cursor": write_cursor((shown[-1].created_at, shown[-1].id)) if more else None,
    }
    return JsonResponse(content)


async def rotate_token(request: Request) -> Response:
    """Make a key like this one, with another text. The old one goes on for a while.

    The body may be absent.
    """
    sent = (await request.body()).strip()
    body = await parse_json(request, RotateRequest) if sent else RotateRequest()
    caller: Key = request.state.key
    accounts: Accounts = request.app.state.accounts
    old = await _found(request, caller)
    try:
        check(caller, order_like(old), default_requests=_default_requests(request))
        new = await accounts.keys.rotate(old.id, overlap=timedelta(seconds=body.overlap_seconds))
    except BeyondCaller as error:
        raise _beyond(error) from None
    except KeyEnded as error:
        raise TokenEnded(str(error)) from None
    await _take_up(accounts)
    log.info("key rotated", key=old.id, to=new.key.id, tenant=old.tenant_id, by=caller.id)
    return JsonResponse(describe_new(new), 201, headers=NOT_STORED)


async def revoke_token(request: Request) -> Response:
    """Revoke a key. This edge refuses it at once, others soon after; again is no error."""
    caller: Key = request.state.key
    accounts: Accounts = request.app.state.accounts
    key = await _found(request, caller)
    if not may_end(caller, key):
        raise ExceedsKey("Only an operator's key can revoke one that has the scope superadmin")
    if await accounts.keys.revoke(key.id):
        log.info("key revoked", key=key.id, tenant=key.tenant_id, by=caller.id)
    await _take_up(accounts)
    content: RevokedToken = {**describe(await accounts.keys.get(key.id)), "deleted": True}
    return JsonResponse(content)


def _order(request: Request, body: TokenRequest, caller: Key) -> KeyOrder:
    if body.expires_at is not None and body.expires_in is not None:
        raise InvalidField("expires_in: give it or expires_at, not both", param="expires_in")
    expires_at = body.expires_at.astimezone(UTC) if body.expires_at is not None else None
    if body.expires_in is not None:
        expires_at = datetime.now(UTC) + timedelta(seconds=body.expires_in)
    return KeyOrder(
        name=body.display_name,
        scopes=frozenset(body.scopes or {Scope.INFERENCE}),
        tenant_id=body.tenant_id or caller.tenant_id,
        models=_models(request, body.models) if body.models is not None else None,
        regions=_regions(request, body.regions) if body.regions is not None else None,
        limits=_limits(body.limits or TokenLimits()),
        expires_at=expires_at,
    )


def _default_requests(request: Request) -> int:
    settings: EdgeSettings = request.app.state.settings
    return settings.edge_requests_per_minute


def _limits(limits: TokenLimits) -> Limits:
    return Limits(limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)


def _models(request: Request, names: Iterable[str]) -> frozenset[str]:
    """Return the ids of the models of these names.

    Raises:
        InvalidField: the catalogue has no such model.
    """
    try:
        return frozenset(request.app.state.models.resolve(name).id for name in names)
    except ApiError as error:
        raise InvalidField(f"models: {error.detail}", param="models") from None


def _regions(request: Request, names: Iterable[str]) -> frozenset[str]:
    """Return the ids of the regions of these names.

    Raises:
        InvalidField: the grid has no such region.
    """
    found = {name: request.app.state.regions.get(name) for name in names}
    for name, region in found.items():
        if region is None:
            raise InvalidField(f"regions: {name[:64]!r} is no region of the grid", param="regions")
    return frozenset(region.id for region in found.values())


async def _found(request: Request, caller: Key) -> Key:
    """Return the key of the path, if the caller may look at it.

    Raises:
        TokenNotFound: there is no such key, or it is of another tenant.
    """
    key_id: str = request.path_params["id"]
    if not key_id.isprintable():
        raise TokenNotFound("There is no such key")
    tenant_id = None if caller.superadmin else caller.tenant_id
    try:
        key: Key = await request.app.state.accounts.keys.get(key_id, tenant_id=tenant_id)
    except NoSuchKey:
        raise TokenNotFound(f"There is no key {key_id[:64]}") from None
    return key


async def _take_up(accounts: Accounts) -> None:
    try:
        await accounts.changed()
    except StoreError as error:
        log.warning("a change of keys counts here with the next poll only", error=str(error))


def _beyond(error: BeyondCaller) -> ExceedsKey:
    return ExceedsKey(f"{error.field}: {error}; a key makes none that can do more", param=error.field)
