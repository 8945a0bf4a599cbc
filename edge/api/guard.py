"""What stands between a request with a key and the handler that answers it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.accounts import Key
from edge.accounts.limiter import Admission, Limiter
from edge.accounts.limits import Subject, standing
from edge.api.identity import has_identity, identify
from edge.api.rate_limits import RatedSend, address_of, refusal, subjects_of
from edge.api.repeats import Call, Repeats
from edge.api.store_failure import handle_store_error
from edge.api.token_estimate import estimate_tokens
from edge.errors import InvalidKey
from edge.settings import EdgeSettings
from edge.store import StoreError
from shared.errors import ApiError, error_response, handle_disconnect, unexpected_response


@dataclass(frozen=True, slots=True)
class Rules:
    """How an operation is guarded: whether it counts against limits, and against those of tokens too; and
    whether its answer holds a secret that must not be stored as it is."""

    limited: bool = False
    tokens: bool = False
    sealed: bool = False


class Guard:
    """Asks who calls, counts the request against his limits, and does what was sent twice only once.

    The key is ``request.state.key``. An address that keeps sending keys that open nothing is refused like a
    key that sends too much. Every answer says how the caller stands, if the operation is limited.
    """

    def __init__(self, app: ASGIApp, authorise: Callable[[Request], Awaitable[Key]], rules: Rules) -> None:
        self._app = app
        self._authorise = authorise
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})
        request = Request(scope, receive)
        answer = RatedSend(send)
        try:
            await self._serve(request, answer)
        except ApiError as error:
            if answer.started:
                raise
            await error_response(error)(scope, receive, answer)
        except StoreError as error:
            await (await handle_store_error(request, error))(scope, receive, answer)
        except ClientDisconnect as error:
            await (await handle_disconnect(request, error))(scope, receive, answer)
        except Exception:
            if not answer.started:
                await unexpected_response()(scope, receive, answer)
            raise

    async def _serve(self, request: Request, answer: RatedSend) -> None:
        state = request.scope["app"].state
        settings: EdgeSettings = state.settings
        limiter: Limiter = state.limiter
        try:
            key = await self._authorise(request)
        except ApiError as error:
            address = address_of(request, settings.edge_requests_per_minute)
            stranger = _Visit(request, limiter, address, answer)
            if isinstance(error, InvalidKey):
                await stranger.admit(tokens=False)
            else:
                await stranger.look()
            raise
        request.scope["state"]["key"] = key
        subjects = subjects_of(key, settings.edge_requests_per_minute) if self._rules.limited else ()
        visit = _Visit(request, limiter, subjects, answer)
        try:
            await self._answer(visit, key)
        except ApiError:
            await visit.look()
            raise

    async def _answer(self, visit: "_Visit", key: Key) -> None:
        request = visit.request
        if has_identity(request):
            state = request.app.state
            body = await visit.load()

            async def admit() -> Admission | None:
                return await visit.admit(tokens=self._rules.tokens)

            identity = identify(
                request,
                key,
                body,
                request_id_seconds=state.settings.edge_request_id_seconds,
                sealed=self._rules.sealed,
            )
            if identity is not None:
                repeats: Repeats = state.repeats
                call = Call(self._app, request.scope, body, admit, visit.look)
                await repeats.serve(identity, call, request.receive, visit.answer)
                return
        admission = await visit.admit(tokens=self._rules.tokens)
        try:
            await self._app(request.scope, visit.receive, visit.answer)
        finally:
            if admission is not None:
                admission.end()


class _Visit:
    """One request on its way to the handler, counted against the limits of *subjects*."""

    def __init__(
        self, request: Request, limiter: Limiter, subjects: tuple[Subject, ...], answer: RatedSend
    ) -> None:
        self.request = request
        self.answer = answer
        self._limiter = limiter
        self._subjects = subjects
        self._loaded: bytes | None = None

    async def load(self) -> bytes:
        """Read the body and return it.

        Raises:
            ApiError: it is too large, or does not arrive in time.
            ClientDisconnect: the client left.
        """
        if self._loaded is not None:
            return self._loaded
        parts: list[bytes] = []
        more = True
        while more:
            message = await self.request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        self._loaded = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._loaded

    async def receive(self) -> Message:
        """Give the handler the body if it was read already, then what comes from the client."""
        if self._loaded is None:
            return await self.request.receive()
        body, self._loaded = self._loaded, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def admit(self, *, tokens: bool) -> Admission | None:
        """Count the request, if it counts.

        Raises:
            RateLimitExceeded: it is more than allowed.
        """
        subjects, wanted = self._subjects, 0
        if not subjects:
            return None
        if tokens:
            for subject in subjects:
                if subject.limits.tokens_per_minute is not None:
                    wanted = estimate_tokens(await self.load())
                    break
        admission = await self._limiter.admit(subjects, tokens=wanted)
        self.answer.standing = standing(subjects, admission.verdict)
        if admission.verdict.exceeded is not None:
            raise refusal(admission.verdict)
        self.request.scope["state"]["admission"] = admission
        return admission

    async def look(self) -> None:
        """Have the answer say how the caller stands without counting the request."""
        if self._subjects and self.answer.standing is None:
            self.answer.standing = standing(self._subjects, await self._limiter.look(self._subjects))
