"""Who may do what: tenants, their API keys and the keys' scopes."""

from edge.accounts.key import Key, NewKey
from edge.accounts.keyring import Keyring
from edge.accounts.keys import KeyEnded, KeyOrder, KeyService, NoSuchKey, NoSuchTenant
from edge.accounts.registry import Registry, open_registry
from edge.accounts.scopes import Scope, parse_scopes
from edge.accounts.tenants import DEFAULT_TENANT, Billing, Limits, Tenant, TenantExists, TenantService

__all__ = [
    "DEFAULT_TENANT",
    "Billing",
    "Key",
    "KeyEnded",
    "KeyOrder",
    "KeyService",
    "Keyring",
    "Limits",
    "NewKey",
    "NoSuchKey",
    "NoSuchTenant",
    "Registry",
    "Scope",
    "Tenant",
    "TenantExists",
    "TenantService",
    "open_registry",
    "parse_scopes",
]
