"""Who calls, and whether he may."""

from datetime import UTC, datetime

from starlette.requests import Request

from edge.accounts import Key, Scope
from edge.errors import InvalidKey, MissingScope, RegionNotAllowed, StoreUnavailable
from edge.store import StoreError


async def authorise(request: Request, scopes: frozenset[Scope]) -> Key:
    """Return the caller's key if it opens what is open to any of *scopes*.

    Raises:
        InvalidKey: no key, an unknown one, or one that is revoked or has expired.
        MissingScope: the key has none of the scopes.
        RegionNotAllowed: the key is for edges of other regions.
        StoreUnavailable: nobody can tell now.
    """
    key = await _find(request)
    if not key.opens(scopes):
        wanted = " or ".join(sorted(scopes))
        raise MissingScope(f"This operation needs a key with the scope {wanted}")
    region = request.app.state.settings.edge_region
    if not key.may_be_used_in(region):
        raise RegionNotAllowed(
            f"This key may be used in {', '.join(sorted(key.regions or ()))} only, and this edge is {region}"
        )
    return key


async def _find(request: Request) -> Key:
    scheme, _, raw = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not raw.strip():
        raise InvalidKey("Missing API key: send it as `Authorization: Bearer pg_…`")
    try:
        key: Key | None = await request.app.state.accounts.keyring.find(raw.strip())
    except StoreError as error:
        raise StoreUnavailable("API keys cannot be checked right now; try again") from error
    if key is None:
        raise InvalidKey
    if key.expired(datetime.now(UTC)):
        raise InvalidKey("The API key has expired")
    return key
