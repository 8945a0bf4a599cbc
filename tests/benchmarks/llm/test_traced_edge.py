import time

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from benchmarks.llm.traced_edge import PATH, Tracing, note
from edge.workers.messages import Generated, Text


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Send two pieces: two tokens drawn a second ago, then one of this moment and the end."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    note(Text("a", 1, made_at=time.perf_counter() - 1))
    note(Text("b", 1, made_at=time.perf_counter() - 1))
    await send({"type": "http.response.body", "body": b"ab", "more_body": True})
    note(Text("c", 1, made_at=time.perf_counter()))
    note(Generated("stop", 1, 3))
    await send({"type": "http.response.body", "body": b"c", "more_body": False})


@pytest.mark.anyio
async def test_each_token_is_timed_until_its_bytes_are_sent() -> None:
    note(Text("of no request", 1, made_at=1.0))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Tracing(app)), base_url="http://edge"
    ) as client:
        assert (await client.get(PATH)).json() == []
        assert (await client.get("/v1/completions")).text == "abc"
        delays = (await client.get(PATH)).json()
        assert [round(delay, -2) for delay in delays] == [1000, 1000, 0]
        assert (await client.get(PATH)).json() == []
