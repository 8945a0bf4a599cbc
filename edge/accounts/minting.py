"""What a key may make of keys: never more than it is."""

from datetime import datetime

from edge.accounts.key import Key
from edge.accounts.keys import KeyOrder
from edge.accounts.scopes import Scope
from edge.accounts.tenants import Limits


class BeyondCaller(Exception):
    """The key that was asked for could do more than the one that asks. ``field`` is the first such field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def within(caller: Key, wanted: KeyOrder, *, default_requests: int = 0) -> KeyOrder:
    """Return *wanted* with the bounds of *caller* where it has none of its own.

    A superadmin's key has no bounds. *default_requests* a minute are what a key may do for which no limit was
    set; 0 is without limit.

    Raises:
        BeyondCaller: what was asked for goes beyond them.
    """
    if caller.superadmin:
        return wanted
    filled = KeyOrder(
        name=wanted.name,
        scopes=wanted.scopes,
        tenant_id=wanted.tenant_id,
        models=wanted.models if wanted.models is not None else caller.models,
        regions=wanted.regions if wanted.regions is not None else caller.regions,
        limits=_filled(caller.limits, wanted.limits),
        expires_at=wanted.expires_at or _moment(caller.expires_at),
    )
    check(caller, filled, default_requests=default_requests)
    return filled


def check(caller: Key, wanted: KeyOrder, *, default_requests: int = 0) -> None:
    """See that *caller* may hold the raw text of a key like *wanted*; see :func:`within`.

    Raises:
        BeyondCaller: that key could do more than *caller*.
    """
    if caller.superadmin:
        return
    if wanted.tenant_id != caller.tenant_id:
        raise BeyondCaller("tenant_id", f"this key is of the tenant {caller.tenant_id}")
    if lacking := wanted.scopes - caller.scopes:
        raise BeyondCaller("scopes", f"this key does not have {', '.join(sorted(lacking))} itself")
    for field, own, asked in (
        ("models", caller.models, wanted.models),
        ("regions", caller.regions, wanted.regions),
    ):
        if own is not None and (asked is None or not asked <= own):
            raise BeyondCaller(field, f"this key is for {', '.join(sorted(own))} only")
    default = Limits(requests_per_minute=default_requests or None)
    own_limits, asked_limits = _filled(default, caller.limits), _filled(default, wanted.limits)
    for name in Limits.__slots__:
        bound, asked_limit = getattr(own_limits, name), getattr(asked_limits, name)
        if bound is not None and (asked_limit is None or asked_limit > bound):
            raise BeyondCaller(f"limits.{name}", f"this key's own is {bound}")
    ends = _moment(caller.expires_at)
    if ends is not None and (wanted.expires_at is None or wanted.expires_at > ends):
        raise BeyondCaller("expires_at", f"this key expires at {caller.expires_at} itself")


def order_like(key: Key) -> KeyOrder:
    """Return the order of a key like *key*."""
    return KeyOrder(
        name=key.name,
        scopes=key.scopes,
        tenant_id=key.tenant_id,
        models=key.models,
        regions=key.regions,
        limits=key.limits,
        expires_at=_moment(key.expires_at),
    )


def may_end(caller: Key, key: Key) -> bool:
    """Whether *caller* may revoke *key*, which it may look at: an operator's key is an operator's to end."""
    return caller.superadmin or Scope.SUPERADMIN not in key.scopes


def _filled(own: Limits, asked: Limits) -> Limits:
    chosen = {
        name: asked_limit if (asked_limit := getattr(asked, name)) is not None else getattr(own, name)
        for name in Limits.__slots__
    }
    return Limits(**chosen)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
