"""GET /v1/route."""

import time
from functools import partial

from starlette.datastructures import Headers
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from autorouter.answers import Answers
from autorouter.caching import CacheTimes, is_known
from autorouter.choose import Choice, ModelNotServed, UnknownRegion, choose
from autorouter.formats import asked_for
from autorouter.grid import Grid
from autorouter.grid_state import GridState
from autorouter.locate import Locator
from autorouter.location import Location
from autorouter.query import Query, parse_query
from autorouter.route_counts import RouteCounts
from shared.errors import ApiError, NotFound


class RouteEndpoint:
    """Answers which edge the caller should talk to.

    An ASGI app of its own: the answers are ready-made bytes, which a Request and a Response would only
    wrap and unwrap again.
    """

    def __init__(self, times: CacheTimes, counts: RouteCounts) -> None:
        self._times = times
        self._counts = counts
        self._known: tuple[Grid, GridState] | None = None
        self._answers: Answers

    async def __call__(self, scope: Connection, _receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers, counts = Headers(raw=scope["headers"]), self._counts
        state, client = scope["app"].state, scope.get("client")
        locator: Locator = state.locator
        try:
            location = locator.locate(headers, client[0] if client is not None else None)
            wanted = asked_for(_joined(headers, "accept"))
            known = self._answers_for(state.grid, state.poller.state)
            answer = known.get(location, parse_query(scope["query_string"]), wanted)
        except ApiError as error:
            counts.refusals[error.code or error.type] += 1
            raise
        if_none_match = headers.getlist("if-none-match")
        unchanged = bool(if_none_match) and is_known(answer.tag, if_none_match)
        counts.unchanged += unchanged
        counts.answered(answer.choice, location.source, time.perf_counter() - started)
        status, raw = (304, answer.unchanged) if unchanged else (200, answer.headers)
        await send({"type": "http.response.start", "status": status, "headers": raw.copy()})
        with_body = not unchanged and scope["method"] != "HEAD"
        await send({"type": "http.response.body", "body": answer.body if with_body else b""})

    def _answers_for(self, grid: Grid, state: GridState) -> Answers:
        """Return what has been answered already, as long as it would be answered again."""
        if self._known is None or grid is not self._known[0] or state is not self._known[1]:
            self._known = (grid, state)
            self._answers = Answers(partial(_choose, grid, state), self._times)
        return self._answers


def _joined(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    return ",".join(values) if values else None


def _choose(grid: Grid, state: GridState, location: Location, query: Query) -> Choice:
    """Choose as :func:`choose` does.

    Raises:
        NotFound: no edge serves that model, or there is no such region.
    """
    try:
        return choose(location.place, query.scope, query.model, grid, state, query.region)
    except ModelNotServed as error:
        raise NotFound(str(error), param="model", code="model_not_found") from None
    except UnknownRegion as error:
        raise NotFound(str(error), param="region", code="region_not_found") from None
