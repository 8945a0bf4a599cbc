"""What a key opens."""

import enum
from collections.abc import Iterable


class Scope(enum.StrEnum):
    """A set of operations: a key opens those of its scopes."""

    INFERENCE = "inference"
    """Run models, and see which there are and what was used."""

    READ = "read"
    """See which models there are, how the edge is and what was used, but run nothing."""

    KEYS = "keys"
    """Make, list, rotate and revoke the keys of one's tenant."""

    SUPERADMIN = "superadmin"
    """Operators' calls, the keys of every tenant, and all there is to see. It runs no models: an
    operator's key is not one to be spent."""


def parse_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Return *words* as scopes.

    Raises:
        ValueError: there is none, or one is unknown; the message lists those that there are.
    """
    known = ", ".join(Scope)
    chosen = set()
    for word in words:
        if word not in set(Scope):
            raise ValueError(f"{word!r} is no scope; scopes are {known}")
        chosen.add(Scope(word))
    if not chosen:
        raise ValueError(f"give at least one scope of {known}")
    return frozenset(chosen)
