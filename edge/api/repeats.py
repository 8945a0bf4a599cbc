"""Requests that have a name are done once: repeats join the first, or get its answer again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
import structlog
from anyio.abc import TaskGroup
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.accounts.idempotency import Idempotency, Identity, StoredAnswer
from edge.accounts.limiter import Admission
from edge.api.leaving import wait_until_gone
from edge.api.metered import RepeatableEvents
from edge.api.shared_answer import SharedAnswer
from edge.errors import IdempotencyKeyReused
from shared.errors import Unavailable, error_response, unexpected_response
from shared.http.drain import Drain
from shared.http.json import JSON_CONTENT_TYPE

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10.0
"""How long work goes on for a client who has left and may ask again: the published one does within 4 s."""

SETTLE_SECONDS = 10.0
REPLAYED = (b"idempotent-replayed", b"true")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who serves it, with what body, and who has the last word on whether it may begin."""

    app: ASGIApp
    scope: Scope
    body: bytes
    admit: Callable[[], Awaitable[Admission | None]]
    look: Callable[[], Awaitable[None]]
    """To be called before an answer that is not the request's own."""


class Execution:
    """One request being done, for all callers who sent it."""

    def __init__(self, identity: Identity, body: bytes) -> None:
        self.identity = identity
        self.answer = SharedAnswer()
        self.decided = anyio.Event()
        """Set once it is known whether this is done here."""
        self.begun = False
        self.abandoned = anyio.Event()
        """Set once nobody will ask for the answer any more, so that the work is stopped."""
        self.over = anyio.Event()
        self._body: bytes | None = body
        self._callers = 0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def caller(self) -> Iterator[None]:
        """Count somebody who waits for the answer as long as this is entered."""
        self._callers += 1
        if self._timer is not None:
            self._timer.cancel()
        try:
            yield
        finally:
            self._callers -= 1
            if not self._callers:
                self._last_has_left()

    async def receive(self) -> Message:
        """Return the request to whoever serves it: its body, then that every caller has left for good."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.abandoned.wait()
        return {"type": "http.disconnect"}

    @property
    def keepable(self) -> bool:
        """Whether its answer may be asked for again. Streams of requests that were not given a key are not:
        the published client never tries them again."""
        if self.identity.fleetwide:
            return True
        types = [value for name, value in self.answer.headers if name.lower() == b"content-type"]
        return not types or types[0].decode("latin-1").startswith(JSON_CONTENT_TYPE)

    async def follow(self, receive: Receive, send: Send) -> bool:
        """Give the answer to one caller, from its beginning; False if there was none."""
        answered = True
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await wait_until_gone(receive)
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            answered = await self.answer.play(send)
            tasks.cancel_scope.cancel()
        return answered

    def end(self) -> None:
        """Let the callers have the end of the answer."""
        self.answer.end()
        self.over.set()
        if not self._callers:
            self._last_has_left()

    def _last_has_left(self) -> None:
        """What was given a key goes on to its end though nobody listens: that is what a key asks for."""
        if self.answer.ended or not self.begun:
            self.answer.close()
            return
        if self.identity.fleetwide:
            return
        grace = GRACE_SECONDS if self.keepable else 0.0
        self._timer = asyncio.get_running_loop().call_later(grace, self.abandoned.set)


class Repeats:
    """The requests with a name that are being done in this process."""

    def __init__(self, idempotency: Idempotency, drain: Drain) -> None:
        self._idempotency = idempotency
        self._drain = drain
        self._executions: dict[str, Execution] = {}
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do requests as long as this is entered, also those whose callers have left."""
        async with self._idempotency.running(), anyio.create_task_group() as tasks:
            self._tasks = tasks
            yield
            tasks.cancel_scope.cancel()

    async def serve(self, identity: Identity, call: Call, receive: Receive, send: Send) -> None:
        """Answer *call*: do it if it is new, else give the answer that there is or will be.

        Raises:
            ApiError: it may not begin, or is a repeat that cannot be answered.
        """
        while True:
            execution = self._executions.get(identity.id)
            if execution is None:
                await self._begin(identity, call, receive, send)
                return
            if execution.identity.fingerprint != identity.fingerprint:
                raise IdempotencyKeyReused
            if execution.abandoned.is_set():
                await execution.over.wait()
                continue
            with execution.caller():
                await execution.decided.wait()
                if execution.begun:
                    self._idempotency.counts.replayed += 1
                    await call.look()
                    await _follow(execution, call, receive, _marked(send))
                    return

    async def _begin(self, identity: Identity, call: Call, receive: Receive, send: Send) -> None:
        execution = Execution(identity, call.body)
        self._executions[identity.id] = execution
        with execution.caller():
            stored = await self._open(execution, call)
            if stored is None:
                await _follow(execution, call, receive, send)
                return
        await call.look()
        await _replay(stored, send)

    async def _open(self, execution: Execution, call: Call) -> StoredAnswer | None:
        """Begin *execution*, or return the answer that another one gave."""
        identity = execution.identity
        assert self._tasks is not None, "requests are served while this runs"
        try:
            while True:
                stored = await self._idempotency.find(identity)
                if stored is not None:
                    self._idempotency.counts.replayed += 1
                    return stored
                admission = await call.admit()
                try:
                    claimed = await self._idempotency.claim(identity)
                except BaseException:
                    _end(admission)
                    raise
                if claimed is not None:
                    break
                _end(admission)
            Request(call.scope).state.events = RepeatableEvents(claimed, outlives=identity.fleetwide)
            execution.begun = True
            self._tasks.start_soon(self._execute, execution, call, admission)
            return None
        finally:
            if not execution.begun:
                del self._executions[identity.id]
            execution.decided.set()

    async def _execute(self, execution: Execution, call: Call, admission: Admission | None) -> None:
        answer = execution.answer
        self._drain.enter()
        try:
            try:
                await call.app(call.scope, execution.receive, answer.send)
            except Exception:
                log.exception("unhandled", path=call.scope["path"])
                if not answer.started:
                    await unexpected_response()(call.scope, execution.receive, answer.send)
        finally:
            try:
                with anyio.move_on_after(SETTLE_SECONDS, shield=True):
                    await self._settle(execution)
            except Exception:
                # Not passed on: it would end the task group, and with it every other request.
                log.exception("answer not settled", path=call.scope["path"])
            del self._executions[execution.identity.id]
            execution.end()
            _end(admission)
            self._drain.leave()

    async def _settle(self, execution: Execution) -> None:
        """Keep the answer, if it is one: before its end is sent, for after it nobody may do it again."""
        answer = execution.answer
        if not execution.keepable or says_that_nothing_was_done(answer.status):
            await self._idempotency.release(execution.identity)
            return
        if not answer.whole:
            await self._idempotency.let_go(execution.identity)
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
        stored = StoredAnswer(answer.status, headers, answer.body())
        await self._idempotency.keep(execution.identity, stored, status=answer.status)


def says_that_nothing_was_done(status: int) -> bool:
    """Whether an answer means that the request was refused before any work, so that it may be tried again."""
    return 400 <= status < 500 or status == 503


async def _follow(execution: Execution, call: Call, receive: Receive, send: Send) -> None:
    if not await execution.follow(receive, send):
        lost = Unavailable("This server is shutting down; try again", code="shutting_down")
        await error_response(lost)(call.scope, receive, send)


async def _replay(answer: StoredAnswer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, REPLAYED]})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _marked(send: Send) -> Send:
    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], REPLAYED]}
        await send(message)

    return send_marked


def _end(admission: Admission | None) -> None:
    if admission is not None:
        admission.end()
