"""Who may do what: API keys and their scopes."""

from edge.accounts.keys import Key, KeyService, NewKey, Scope

__all__ = ["Key", "KeyService", "NewKey", "Scope"]
