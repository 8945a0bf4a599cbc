"""Who calls, and whether he may."""

from datetime import UTC, datetime

from starlette.requests import Request

from edge.accounts import Key, Scope
from edge.accounts.accounts import Accounts
from edge.accounts.jwks import KeysUnavailable
from edge.accounts.key import PREFIX
from edge.accounts.sessions import InvalidSession, SessionForbidden
from edge.errors import (
    InvalidKey,
    MissingScope,
    ModelNotAllowed,
    RegionNotAllowed,
    StoreUnavailable,
    UnknownTenant,
)
from edge.store import StoreError
from shared.http.headers import header


async def authorise(request: Request, scopes: frozenset[Scope]) -> Key:
    """Return the caller's key if it opens what is open to any of *scopes*.

    Raises:
        InvalidKey: no key, an unknown one, or one that is revoked or has expired; no good session token.
        UnknownTenant: a session token names no tenant that there is.
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


def require_model(key: Key, model: str) -> None:
    """See that *key* may be used for the model of this id.

    Raises:
        ModelNotAllowed: it is for others.
    """
    if not key.may_use(model):
        raise ModelNotAllowed(
            f"This key may be used for {', '.join(sorted(key.models or ()))} only, and not for {model}",
            param="model",
        )


async def _find(request: Request) -> Key:
    scheme, _, raw = (header(request.scope, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not raw.strip():
        raise InvalidKey("Missing API key: send it as `Authorization: Bearer pg_…`")
    accounts: Accounts = request.app.state.accounts
    raw = raw.strip()
    try:
        if accounts.sessions is not None and not raw.startswith(PREFIX):
            return await accounts.sessions.find(raw)
        key = await accounts.keyring.find(raw)
    except (StoreError, KeysUnavailable) as error:
        raise StoreUnavailable("API keys cannot be checked right now; try again") from error
    except InvalidSession as error:
        raise InvalidKey(str(error)) from None
    except SessionForbidden as error:
        raise UnknownTenant(str(error)) from None
    if key is None:
        raise InvalidKey
    if key.expires_at is not None and key.expired(datetime.now(UTC)):
        raise InvalidKey("The API key has expired")
    return key
