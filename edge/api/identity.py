"""What makes two requests the same."""

import hashlib
import re
from collections.abc import Iterable

from starlette.requests import Request

from edge.accounts import Key
from edge.accounts.idempotency import Identity
from edge.errors import InvalidField
from shared.http.headers import header

KEY_SECONDS = 24 * 3600
LONGEST_KEY = 255
"""Characters of an Idempotency-Key."""

_CLIENTS_ID = re.compile(r"req_[0-9A-Za-z]+_[0-9A-Za-z]+")
"""The form of the ids that the published client makes, one for each call. Others may stand for more than one
call: proxies and traces give all that belongs to one request of theirs the same."""

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)


def has_identity(request: Request) -> bool:
    """Whether a request may have a name of its own, so that its body is worth reading first."""
    scope = request.scope
    if scope["method"] != "POST":
        return False
    if header(scope, b"idempotency-key") is not None:
        return True
    return (
        _CLIENTS_ID.fullmatch(header(scope, b"x-request-id") or "") is not None
        and (header(scope, b"content-type") or "").partition(";")[0].strip().lower() == "application/json"
        and "text/event-stream" not in (header(scope, b"accept") or "")
    )


def identify(
    request: Request, key: Key, body: bytes, *, request_id_seconds: float, sealed: bool
) -> Identity | None:
    """Return the name of a request for which :func:`has_identity` holds, None if it has none after all.

    An ``Idempotency-Key`` stands for one request of a tenant for a day, among keys that may use the same
    models: none reads an answer that it could not have got. Without one, the same
    ``X-Request-ID`` of the published client's form with the same body by the same key is taken for the same
    request for *request_id_seconds*: that client repeats it when it tries again.

    Raises:
        InvalidField: the Idempotency-Key is none.
    """
    secret = request.headers.get("authorization", "").partition(" ")[2].strip() if sealed else None
    fingerprint = _fingerprint(request, body)
    given = request.headers.get("idempotency-key")
    if given is not None:
        if not 1 <= len(given) <= LONGEST_KEY or not _KEY.fullmatch(given):
            raise InvalidField(
                f"Idempotency-Key: send 1 to {LONGEST_KEY} printable ASCII characters",
                param="Idempotency-Key",
            )
        name = _digest(["key", key.tenant_id, given, *sorted(key.models or ())])
        return Identity(name, key.tenant_id, fingerprint, KEY_SECONDS, fleetwide=True, secret=secret)
    if not request_id_seconds:
        return None
    name = _digest(["request-id", key.id, request.headers["x-request-id"], fingerprint])
    return Identity(name, key.tenant_id, fingerprint, request_id_seconds, fleetwide=False, secret=secret)


def _fingerprint(request: Request, body: bytes) -> str:
    boundary = _BOUNDARY.search(request.headers.get("content-type", ""))
    if boundary is not None:
        # Clients draw a new one for every try.
        body = body.replace(b"--" + boundary[1].encode("latin-1"), b"--")
    query = request.scope.get("query_string", b"")
    return _digest([request.method, request.scope["path"], query.decode("latin-1")], body)


def _digest(parts: Iterable[str], data: bytes = b"") -> str:
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogateescape")
        digest.update(len(encoded).to_bytes(8) + encoded)
    digest.update(data)
    return digest.hexdigest()
