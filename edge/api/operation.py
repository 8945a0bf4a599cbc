"""How one endpoint is declared, and how the declaration becomes a route."""

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.accounts import Key, Scope
from edge.errors import InvalidKey, MissingScope, StoreUnavailable
from edge.store import StoreError
from shared.http.internal_secret import require_secret

Handler = Callable[[Request], Awaitable[Response]]


class Access(enum.Enum):
    """Who may call an operation that asks for no particular scope."""

    OPEN = "everybody"
    ANY_KEY = "everybody with an active key"
    INTERNAL = "the services of this grid, by the secret that they share"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path: what serves it, who may call it, and what the API document says of it.

    ``access`` says who may call it; a scope stands for the keys that have it.
    ``body`` validates the JSON body, ``query`` the query string, ``form`` a multipart form, and
    ``response`` is the type of the JSON answer: the document is made from these same types.
    ``accepted`` is the type of the JSON answer 202, which says that the work goes on.
    ``event`` is the type of each server-sent event of a streamed answer, and ``media`` lists other content
    types that the answer may have. ``headers`` names what the answer's headers tell besides.
    ``errors`` says what statuses of errors mean that are not common to all operations, and ``refusal`` is the
    type of their bodies where it has more than every error.
    """

    method: str
    path: str
    handler: Handler
    access: Access | Scope
    summary: str
    tag: str
    response: Any = None
    accepted: Any = None
    body: type[BaseModel] | None = None
    body_required: bool = True
    query: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    media: tuple[str, ...] = ()
    event: Any = None
    headers: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    refusal: Any = None

    @property
    def key(self) -> str:
        """What tells this operation from every other one."""
        return f"{self.method} {self.path}"

    def route(self) -> Route:
        """Return the route that checks who calls and then calls the handler."""
        if self.access is Access.OPEN:
            endpoint = self.handler
        elif self.access is Access.INTERNAL:
            endpoint = _guard_by_secret(self.handler)
        else:
            endpoint = _guard(self.handler, self.access)
        return Route(self.path, endpoint, methods=[self.method])


def routes(operations: Iterable[Operation]) -> list[Route]:
    return [operation.route() for operation in operations]


def _guard(handler: Handler, access: Access | Scope) -> Handler:
    async def guarded(request: Request) -> Response:
        request.state.key = await authorise(request, access)
        return await handler(request)

    return guarded


def _guard_by_secret(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        require_secret(request, request.app.state.settings.internal_secret)
        return await handler(request)

    return guarded


async def authorise(request: Request, access: Access | Scope) -> Key:
    """Return the caller's key if *access* is open to it.

    Raises:
        InvalidKey: no key, an unknown one, or one that is revoked.
        MissingScope: *access* is a scope that the key does not have.
        StoreUnavailable: nobody can tell now.
    """
    scheme, _, raw = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not raw.strip():
        raise InvalidKey("Missing API key: send it as `Authorization: Bearer pg_…`")
    try:
        key = await request.app.state.keys.find(raw.strip())
    except StoreError as error:
        raise StoreUnavailable("API keys cannot be checked right now; try again") from error
    if key is None:
        raise InvalidKey
    if isinstance(access, Scope) and access not in key.scopes:
        raise MissingScope(f"This operation needs a key with the scope {access}")
    found: Key = key
    return found
