import httpx
import pytest
from starlette.responses import Response

from autorouter.no_store import NoStoreMiddleware

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("said", "expected"), [({}, "no-store"), ({"Cache-Control": "private, max-age=5"}, "private, max-age=5")]
)
async def test_answer_is_not_stored_unless_it_says_so(said: dict[str, str], expected: str) -> None:
    app = NoStoreMiddleware(Response(b"x", headers=said))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/")).headers.get_list("cache-control") == [expected]
