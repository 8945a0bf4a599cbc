"""What a caller of /v1/route asks for."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from autorouter.choose import Scope, parse_scope

KEPT_BYTES = 256
"""Longer queries are read anew each time, so that what is kept of them stays small."""


@dataclass(frozen=True, slots=True)
class Query:
    """``model`` and ``region`` are trimmed, and None where the query names none."""

    scope: Scope = Scope.COUNTRY
    model: str | None = None
    region: str | None = None


NOTHING = Query()


def parse_query(query: bytes) -> Query:
    """Read a query string. Of a name that comes twice the last one counts; unknown ones mean nothing."""
    if not query:
        return NOTHING
    return _kept(query) if len(query) <= KEPT_BYTES else _parse(query)


def _parse(query: bytes) -> Query:
    fields = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    return Query(
        scope=parse_scope(fields.get("scope")),
        model=fields.get("model", "").strip() or None,
        region=fields.get("region", "").strip() or None,
    )


_kept = lru_cache(maxsize=1024)(_parse)
