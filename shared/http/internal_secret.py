"""The secret that the services of one grid share."""

from hmac import compare_digest

from pydantic import SecretStr
from starlette.requests import Request

from shared.errors import Forbidden, WrongSecret


def require_secret(request: Request, secret: SecretStr | None) -> None:
    """See that *request* has the internal *secret* as its bearer.

    Raises:
        Forbidden: no secret is set, so nobody may ask.
        WrongSecret: it has none, or another.
    """
    if secret is None:
        raise Forbidden(
            "No internal secret is set here: give NEAREDGE_INTERNAL_SECRET the same value at the autorouter "
            "and at every edge",
            code="no_internal_secret",
        )
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise WrongSecret("Missing internal secret: send it as `Authorization: Bearer …`")
    if not compare_digest(given.strip().encode(), secret.get_secret_value().encode()):
        raise WrongSecret("Wrong internal secret: it is not the NEAREDGE_INTERNAL_SECRET that is set here")
