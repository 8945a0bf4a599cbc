"""How one endpoint is declared, and how the declaration becomes a route."""

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp

from edge.accounts import Scope
from edge.api.authorise import authorise
from edge.api.guard import Guard, Rules
from edge.api.request_counts import CountedApp
from shared.http.internal_secret import require_secret

Handler = Callable[[Request], Awaitable[Response]]


class Access(enum.Enum):
    """Who may call an operation that asks for no key."""

    OPEN = "everybody"
    INTERNAL = "the services of this grid, by the secret that they share"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path: what serves it, who may call it, and what the API document says of it.

    ``access`` says who may call it; scopes stand for the keys that have any of them.
    ``body`` validates the JSON body, ``query`` the query string, ``form`` a multipart form, and
    ``response`` is the type of the JSON answer, whose status is ``status``: the document is made from these
    same types. ``accepted`` is the type of the JSON answer 202, which says that the work goes on.
    ``event`` is the type of each server-sent event of a streamed answer, and ``media`` lists other content
    types that the answer may have. ``headers`` names what the answer's headers tell besides.
    ``tokens`` says that it counts against limits of tokens, ``sealed`` that its answer holds a secret, which
    is not to be stored as it is.
    ``errors`` says what statuses of errors mean that are not common to all operations, and ``refusal`` is the
    type of their bodies where it has more than every error.
    """

    method: str
    path: str
    handler: Handler
    access: Access | Scope | frozenset[Scope]
    summary: str
    tag: str
    response: Any = None
    accepted: Any = None
    status: int = 200
    body: type[BaseModel] | None = None
    body_required: bool = True
    query: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    media: tuple[str, ...] = ()
    event: Any = None
    headers: tuple[str, ...] = ()
    tokens: bool = False
    sealed: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)
    refusal: Any = None

    @property
    def key(self) -> str:
        """What tells this operation from every other one."""
        return f"{self.method} {self.path}"

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes of which any opens it; none where no key is asked for."""
        if isinstance(self.access, Access):
            return frozenset()
        return frozenset({self.access}) if isinstance(self.access, Scope) else self.access

    @property
    def limited(self) -> bool:
        """Whether it counts against limits: inference does, and asking for what was inferred does not."""
        return Scope.INFERENCE in self.scopes and self.method == "POST"

    def route(self) -> Route:
        """Return the route that checks who calls and then calls the handler."""
        app: ASGIApp
        if self.access is Access.OPEN:
            app = request_response(self.handler)
        elif self.access is Access.INTERNAL:
            app = request_response(_guard_by_secret(self.handler))
        else:
            rules = Rules(limited=self.limited, tokens=self.tokens, sealed=self.sealed)
            app = Guard(request_response(self.handler), partial(authorise, scopes=self.scopes), rules)
        return Route(self.path, CountedApp(app, self.key), methods=[self.method])


def routes(operations: Iterable[Operation]) -> list[Route]:
    return [operation.route() for operation in operations]


def _guard_by_secret(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        require_secret(request, request.app.state.settings.internal_secret)
        return await handler(request)

    return guarded
